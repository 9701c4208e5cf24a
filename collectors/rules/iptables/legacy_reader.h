// Reads the existing legacy tables (iptables or ip6tables). A request for a missing table would create it, and with it
// a hook that every packet passes. So it requests only tables that the kernel lists.
//
// Threads: one owner, which has entered the network namespace to be read.
//
// Sources: linux/netfilter_ipv4/ip_tables.h (IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES), linux/netfilter_ipv6/ip6_tables.h;
// net/ipv4/netfilter/ip_tables.c (do_ipt_get_ctl: CAP_NET_ADMIN; any socket of the family will do).
#pragma once

#include <istream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collectors/netlink/socket.h"
#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/iptables/legacy_blob.h"
#include "collectors/system/result.h"

namespace conntally {

// Whether some namespace may have legacy tables of the family, by /proc/modules, which everybody may read. False only
// if it is certain: ip_tables is a module, so each table is one too, and none is loaded.
bool MayHaveLegacyTables(std::istream& modules, RuleFamily family);

class LegacyReader {
 public:
  static constexpr std::uint32_t kTableBytesMax = 256U << 20U;

  // kIptablesLegacy or kIp6tablesLegacy.
  explicit LegacyReader(RuleBackend backend);

  BackendReading Read();

 private:
  struct Blob {
    LegacyInfo info{};
    std::vector<std::byte> entries;
  };
  // A table at its last change.
  struct KnownTable {
    Blob blob;                               // its counters zeroed
    std::vector<std::size_t> all_counters;   // their offsets
    std::vector<std::size_t> rule_counters;  // offsets for the rules of this table in the ruleset
    std::vector<std::optional<std::size_t>> policy_counters;
  };

  Result<std::vector<std::string>> TableNames() const;
  Result<Blob> ReadTable(const std::string& name);
  Result<BackendReading> TryRead();
  Status Rebuild(std::map<std::string, Blob> blobs);
  void AddTexts(Ruleset& ruleset) const;

  const RuleBackend backend_;
  const RuleFamily family_;
  FileDescriptor socket_;
  std::map<std::string, KnownTable> known_;  // by name; in the ruleset's order
  std::shared_ptr<const Ruleset> ruleset_;
  std::uint32_t generation_ = 0;
};

}  // namespace conntally
