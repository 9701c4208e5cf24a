// The ways (drop_collector.h) that the collector's thread has open; only for the files that implement DropCollector.
// That thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "collectors/drops/ebpf/ebpf_drops.h"
#include "collectors/drops/logs/kernel_log.h"
#include "collectors/drops/logs/nflog_listener.h"
#include "collectors/system/network_namespace.h"
#include "collectors/table/table_full_lines.h"
#include "daemon/drops/drop_collector.h"
#include "daemon/drops/set_drops.h"
#include "daemon/rules/rule_collector.h"

namespace conntally {

struct DropCollector::Ways {
  explicit Ways(const Options& options) : network_namespace(options.network_namespace_path), sets(options.grouping) {}

  FollowedNamespace network_namespace;
  bool inside = false;
  std::uint64_t inode = 0;  // of the namespace that the thread has entered; 0: none
  Clock::time_point next_look{};
  std::map<std::string, std::uint64_t> losses_before;  // of ways closed with their namespace, by the overflow's name
  std::optional<EbpfDrops> ebpf;
  std::optional<KernelLog> kernel_log;
  std::map<std::string, std::uint64_t> reasons_before;  // of ways closed with their namespace, by the kernel's reasons
  bool ebpf_wanted = true;                              // false once it is open, or off for good
  bool kernel_log_wanted = true;
  Clock::time_point next_open{};
  Clock::time_point next_reading{};  // of packets logged
  std::vector<NflogListener> nflog;
  std::vector<std::uint16_t> unbound_groups;
  Clock::time_point next_bind{};
  TableFullLineCounts table_full_lines;
  std::uint64_t not_looked_up = 0;  // packets whose rule was not looked up because kRuleLooksMax was reached
  // The last readings of the rules: at least three, and back over kReadingsSpan. A drop is reported up to a round or
  // two after it happened, so it lies between the first and the last of them.
  struct Reading {
    std::shared_ptr<const RuleFigures> figures;
    Clock::time_point taken;
  };
  std::vector<Reading> readings;
  SetDrops sets;
  std::set<std::string> let_through;  // prefixes that do not mean a drop
};

}  // namespace conntally
