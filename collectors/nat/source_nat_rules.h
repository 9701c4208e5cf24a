// Which ports the rules of source translation, or else the kernel, give to connections: found from the connections that
// were given some. A rule fits one when nothing that it asks speaks against it, and the address and the port are such
// as it gives. Where several fit (the way out, marks and the like are not in the table), the one that explains the most
// of the connections towards one destination is taken for theirs.
//
// Pure: of one reading of the rules, which must outlive it. One thread at a time.
//
// Sources: net/netfilter/nf_nat_core.c (get_unique_tuple, nf_nat_l4proto_unique_tuple).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "collectors/addresses/ranges.h"
#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/walk/chain_graph.h"
#include "collectors/rules/walk/match/condition_match.h"
#include "collectors/rules/walk/match/packet.h"

namespace conntally {

// The ports that the kernel chooses from where no rule names any: from 1024 up for a source port there, 512 to 1023 and
// 1 to 511 for those below, all of them for the ids of ICMP.
NumberRange KernelPorts(std::uint8_t protocol, std::uint16_t original_port);
inline constexpr std::uint32_t kKernelPortsMost = 65'536;

class SourceNatRules {
 public:
  struct Given {
    Packet packet;  // as rules behind the routing see it: with the destination that it goes to
    std::uint16_t original_port = 0;
    IpAddress address;  // what it was given
    std::uint16_t port = 0;
  };

  // Null readings are left out. `ipsets` may be null.
  SourceNatRules(const std::vector<const BackendReading*>& readings, const std::vector<AddressSet>* ipsets);

  explicit SourceNatRules(const FirewallReading& reading);

  // Of those ranges that rules name, the narrowest; kKernelPortsMost where they name none.
  std::uint32_t ports_least() const { return ports_least_; }

  // The ranges that connections of one address towards one destination are given ports of, each once.
  std::vector<NumberRange> PortsOf(std::span<const Given> connections) const;

 private:
  // One way to be translated: a rule, and of its map one element.
  struct Offer {
    const Rule* rule = nullptr;
    const ConditionMatcher* matcher = nullptr;
    std::vector<const ChainGraph::Entrance*> entrances;  // of the only way into its chain; else none
    const Ruleset* ruleset = nullptr;
    const RuleChain* chain = nullptr;  // the rule's
    const NatTarget::Choice* choice = nullptr;
    std::optional<AddressRange> addresses;
    std::optional<NumberRange> ports;
    bool always = true;  // what it asks is all known
  };
  // How well an offer explains a connection; 0: not at all.
  using Score = unsigned;

  void Add(const BackendReading& reading, const std::vector<AddressSet>* ipsets);
  void Add(Offer offer, const std::optional<AddressRange>& addresses, const std::optional<NumberRange>& ports);
  static Match Matches(const Offer& offer, const Packet& packet);
  static Score Explains(const Offer& offer, const Given& given);

  std::vector<Offer> offers_;  // chain by chain; in a chain as the kernel asks them
  std::vector<std::unique_ptr<ConditionMatcher>> matchers_;
  std::vector<std::unique_ptr<ChainGraph>> graphs_;
  std::uint32_t ports_least_ = kKernelPortsMost;
};

}  // namespace conntally
