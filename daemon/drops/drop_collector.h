// The collector of dropped packets: one thread drains every source of information about them, called a way (eBPF, NFLOG
// groups, the kernel's log, sets with counters), into one DropTally. A way that does not work here is off, says what it
// lacks, and does not affect the others. When the network namespace's path refers to another namespace, the ways are
// reopened there.
//
// Threads: Start and Stop on the owner's; all others on any.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "collectors/drops/drop_tally.h"
#include "collectors/netlink/socket.h"
#include "collectors/system/collector.h"
#include "collectors/system/threads/guarded.h"
#include "collectors/system/threads/worker_thread.h"
#include "collectors/table/table_full_lines.h"
#include "config/config.h"
#include "daemon/drops/interface_names.h"
#include "daemon/rules/rule_collector.h"

namespace conntally {

class DropCollector : public Collector {
 public:
  struct Options {
    Config::Drops drops;
    SourceGrouping grouping = {};
    std::string network_namespace_path;  // empty: the process's own namespace
    std::string kernel_log_path = "/dev/kmsg";
    RuleCollector* rules = nullptr;  // outlives the collector; drops are attributed to its rules
  };

  explicit DropCollector(Options options);

  void Start() override;
  void Stop() override { worker_.Stop(); }

  const DropTally& tally() const { return tally_; }
  // The named networks by which packets are counted from now on. Any thread.
  void set_groups(std::shared_ptr<const NetworkGroups> groups) { tally_.set_groups(std::move(groups)); }

  // The recent drops for which `wanted` is true, in no order.
  std::vector<RecentDrop> Recent(const std::function<bool(const RecentDrop&)>& wanted) const;
  // The sources whose recent drops are kept longest when there is no room for all.
  void set_regulars(std::set<IpAddress> regulars) { tally_.set_regulars(std::move(regulars)); }

  // As counted from the kernel's log.
  TableFullLineCounts table_full_lines() const;

  // Adds the state of the ways, and what they lost.
  void Describe(CollectorReport& report) const override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Ways;

  void Run(const std::stop_token& stop);
  bool FollowNamespace(Ways& ways);
  void LeaveNamespace(Ways& ways);
  void OpenWanted(Ways& ways);
  void AttachEbpf(Ways& ways);
  void OpenKernelLog(Ways& ways);
  void BindNflogGroups(Ways& ways);
  void WaitForWork(const Ways& ways, Clock::time_point until);
  void ReceiveLogged(Ways& ways);
  void AddLogged(const LoggedPacket& packet);
  std::uint64_t DrainEbpf(Ways& ways);
  void FollowRules(Ways& ways);
  void AttributeToRules(Ways& ways);
  static std::map<std::string, std::uint64_t> NamespaceLosses(const Ways& ways);
  static std::map<std::string, std::uint64_t> ReasonsOf(const Ways& ways);
  void Publish(const std::string& way, CollectorStatus status);
  void PublishFigures(const Ways& ways);

  const Options options_;
  DropTally tally_;
  InterfaceNames interfaces_;
  struct Told {
    CollectorReport report;
    TableFullLineCounts table_full_lines;
    std::map<std::string, std::uint64_t> reasons;  // packets, by the kernel's drop reasons
  };
  Guarded<Told> told_;
  Worker worker_;
};

}  // namespace conntally
