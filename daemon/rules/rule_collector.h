// The rule collector: reads the firewall's rules in the watched network namespace every poll_interval, on its own
// thread, and keeps counters that continue over reloads. It skips a backend that the kernel lacks, and logs that once.
// It reads the elements of sets after the rules, only as often as their cost allows (element_pace.h). Between readings
// it processes the kernel's notifications of nftables changes. While the network namespace does not exist, it looks for
// it every second.
//
// Start and Stop on the main thread; all others on any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectors/rules/element_pace.h"
#include "collectors/rules/iptables/legacy_reader.h"
#include "collectors/rules/nft/nft_reader.h"
#include "collectors/rules/rule_counters.h"
#include "collectors/system/collector.h"
#include "collectors/system/file_descriptor.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/threads/guarded.h"
#include "collectors/system/threads/worker_thread.h"
#include "config/config.h"

namespace conntally {

class RuleCollector : public Collector {
 public:
  RuleCollector(const Config::Rules& config, std::string network_namespace_path, std::string proc = "/proc")
      : network_namespace_path_(std::move(network_namespace_path)),
        proc_(std::move(proc)),
        shared_({.config = config}) {}

  void Start() override;
  void Stop() override { worker_.Stop(); }

  // Takes effect at the next poll.
  void set_config(const Config::Rules& config);

  // Adds a status for each backend that exists.
  void Describe(CollectorReport& report) const override;

  std::shared_ptr<const RuleFigures> figures() const;

  // Whether somebody needs the counters of set elements. If not, the elements of unchanged sets are not read again.
  // Initially false.
  void WantSetCounters(bool wanted) { set_counters_wanted_.store(wanted, std::memory_order_relaxed); }

  // Settings that matter beside the rules, as of the last poll: whether the namespace forwards packets, and
  // net.netfilter.nf_conntrack_max_per_ip if the kernel has it (mainline does not).
  bool forwards() const { return forwards_.load(std::memory_order_relaxed); }
  std::optional<std::uint64_t> connections_per_source_max() const;
  // The addresses of this host in that namespace, as of the last poll.
  std::vector<IpAddress> own_addresses() const;

 private:
  struct Readers {
    bool known = false;  // the rules were read at least once
    NftReader nftables;
    LegacyReader iptables_legacy{RuleBackend::kIptablesLegacy};
    LegacyReader ip6tables_legacy{RuleBackend::kIp6tablesLegacy};
  };

  // Shared by callers and the thread. Nothing is read from the kernel under its lock.
  struct Shared {
    Config::Rules config;
    std::shared_ptr<const RuleFigures> figures = {};
    std::string failure = {};        // why no backend can be read
    std::uint64_t changes_lost = 0;  // notifications of changes that were lost
    std::vector<IpAddress> own_addresses = {};
  };

  void Run(const std::stop_token& stop);
  void LetReadersGo();
  bool EnterNamespace();
  void WaitAndFollow(std::chrono::steady_clock::time_point until);
  bool WaitForCall(std::chrono::steady_clock::time_point until, int also_fd);
  void Poll(const Config::Rules& config, bool elements, const std::stop_token& stop);
  void ReadSysctls();
  void ReadOwnAddresses();
  void AddIpsets(FirewallReading& snapshot, bool anew);
  void Report(const FirewallReading& snapshot);

  const std::string network_namespace_path_;
  const std::string proc_;
  Guarded<Shared> shared_;
  const FileDescriptor config_changed_ = MakeEvent();
  std::atomic<bool> set_counters_wanted_{false};
  std::atomic<bool> forwards_{false};
  std::atomic<std::int64_t> connections_per_source_max_{-1};  // negative: the sysctl does not exist

  // Only the thread uses these.
  FollowedNamespace network_namespace_{network_namespace_path_};
  std::optional<Readers> readers_;         // of the namespace that the thread has entered; empty while there is none
  std::uint64_t changes_lost_before_ = 0;  // by earlier readers
  RuleCounters counters_{0};
  std::map<RuleBackend, std::string> reported_;
  ElementPace pace_;
  std::shared_ptr<const std::vector<AddressSet>> ipsets_;  // as last read
  std::string ipsets_failure_;                             // empty: the last reading succeeded
  Worker worker_;
};

}  // namespace conntally
