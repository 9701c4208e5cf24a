// The ways to know of dropped packets, as the collector's thread has them open, for the files that implement
// DropCollector. That thread only.
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
  std::uint64_t inode = 0;  // of the namespace that it is in; 0: it is in none
  Clock::time_point next_look{};
  std::map<std::string, std::uint64_t>
      losses_before;  // of ways that were closed with their namespace, by the names of overflows
  std::optional<EbpfDrops> ebpf;
  std::optional<KernelLog> kernel_log;
  std::map<std::string, std::uint64_t> reasons_before;  // likewise, by the kernel's reasons
  bool ebpf_wanted = true;                              // there, or off for good, once it is false
  bool kernel_log_wanted = true;
  Clock::time_point next_open{};
  Clock::time_point next_reading{};  // of packets logged
  std::vector<NflogListener> nflog;
  std::vector<std::uint16_t> unbound_groups;
  Clock::time_point next_bind{};
  TableFullLineCounts table_full_lines;
  std::uint64_t not_looked_up = 0;  // packets whose rule was not asked for, since kRuleLooksMax was reached
  // The rules as they were read last, and the time before, and before that, and as long ago as kReadingsSpan. A packet
  // is told of up to a round or two after it was dropped, so it lies between the first and the last of them.
  struct Reading {
    std::shared_ptr<const RuleFigures> figures;
    Clock::time_point taken;
  };
  std::vector<Reading> readings;
  SetDrops sets;
  std::set<std::string> let_through;  // prefixes that tell of no drop
};

}  // namespace conntally
