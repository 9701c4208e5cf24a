#include "daemon/rules/rule_collector.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "collectors/host/network_reader.h"
#include "collectors/rules/iptables/ipset_reader.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/worker_thread.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kRetryNamespace = 1s;
constexpr auto kFollow = 100ms;  // often enough for the kernel's notifications to find room

RuleBackend BackendOf(Config::RuleBackend backend) {
  switch (backend) {
    case Config::RuleBackend::kNftables: return RuleBackend::kNftables;
    case Config::RuleBackend::kIptablesLegacy: return RuleBackend::kIptablesLegacy;
    case Config::RuleBackend::kIp6tablesLegacy: return RuleBackend::kIp6tablesLegacy;
  }
  return RuleBackend::kNftables;
}

}  // namespace

void RuleCollector::Start() {
  thread_ = StartThread(
      "rules", [this] { Run(); },
      [this](const Error& error) {
        spdlog::error("rules: {}; trying again", error.message);
        const std::lock_guard lock(mutex_);
        failure_ = error.message;
      });
}

void RuleCollector::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  woken_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void RuleCollector::set_config(const Config::Rules& config) {
  {
    const std::lock_guard lock(mutex_);
    config_ = config;
  }
  woken_.notify_all();
}

std::shared_ptr<const RuleFigures> RuleCollector::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void RuleCollector::Describe(CollectorReport& report) const {
  const std::lock_guard lock(mutex_);
  if (figures_) {
    report.overflows["rule_series"] = figures_->series_turned_away;
    report.overflows["rule_changes"] = changes_lost_;
  }
  if (!failure_.empty()) {
    for (const Config::RuleBackend backend : config_.backends)
      report.statuses[NameOf(BackendOf(backend))] = {false, 0, failure_};
    return;
  }
  if (!figures_) return;
  for (const auto& [backend, figures] : figures_->backends) {
    const BackendReading& read = figures.snapshot;
    if (read.present || read.lacks_capability) {
      report.statuses[NameOf(backend)] = {read.success, read.duration_seconds, read.failure, read.lacks_capability};
    }
  }
}

void RuleCollector::Run() {
  LetReadersGo();  // after something threw, half an answer may be left in their sockets
  counters_.ReadAnew();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Config::Rules config = config_;
    lock.unlock();
    const auto began = std::chrono::steady_clock::now();
    const bool there = EnterNamespace();
    if (there) Poll(config);
    lock.lock();
    WaitAndFollow(lock, config,
                  began + (there ? config.poll_interval
                                 : std::min<std::chrono::milliseconds>(config.poll_interval, kRetryNamespace)));
  }
}

void RuleCollector::LetReadersGo() {
  if (readers_) changes_lost_before_ += readers_->nftables.changes_lost();
  readers_.reset();
}

bool RuleCollector::EnterNamespace() {
  const auto followed = network_namespace_.Follow();
  if (!followed || *followed == FollowedNamespace::Outcome::kEntered) {
    LetReadersGo();
    counters_.BeginAnew();
  }
  if (followed) {
    if (!readers_) readers_.emplace();
    return true;
  }
  const std::lock_guard lock(mutex_);
  failure_ = followed.error().message;
  return false;
}

// With the lock held, but while it follows.
void RuleCollector::WaitAndFollow(std::unique_lock<std::mutex>& lock, const Config::Rules& config,
                                  std::chrono::steady_clock::time_point until) {
  for (;;) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= until ||
        woken_.wait_until(lock, std::min(until, now + kFollow), [&] { return stopping_ || config_ != config; }))
      return;
    lock.unlock();
    if (readers_) readers_->nftables.Follow();
    lock.lock();
  }
}

std::vector<IpAddress> RuleCollector::own_addresses() const {
  const std::lock_guard lock(mutex_);
  return own_addresses_;
}

// Those of before stay where they cannot be read.
void RuleCollector::ReadOwnAddresses() {
  const auto read = ReadLocalAddresses();
  if (!read) return;
  std::vector<IpAddress> addresses;
  for (const LocalAddress& local : *read) addresses.push_back(local.address);
  const std::lock_guard lock(mutex_);
  own_addresses_ = std::move(addresses);
}

void RuleCollector::Poll(const Config::Rules& config) {
  FirewallReading snapshot;
  for (const Config::RuleBackend wanted : config.backends) {
    const RuleBackend backend = BackendOf(wanted);
    switch (backend) {
      case RuleBackend::kNftables: snapshot.backends[backend] = readers_->nftables.Read(); break;
      case RuleBackend::kIptablesLegacy: snapshot.backends[backend] = readers_->iptables_legacy.Read(); break;
      case RuleBackend::kIp6tablesLegacy: snapshot.backends[backend] = readers_->ip6tables_legacy.Read(); break;
    }
  }
  AddIpsets(snapshot);
  ReadSysctls();
  ReadOwnAddresses();
  Report(snapshot);
  counters_.set_series_max(config.series_max);
  counters_.Update(std::move(snapshot), std::chrono::steady_clock::now());
  const std::lock_guard lock(mutex_);
  figures_ = counters_.figures();
  failure_.clear();
  changes_lost_ = changes_lost_before_ + readers_->nftables.changes_lost();
}

std::optional<std::uint64_t> RuleCollector::connections_per_source_max() const {
  const std::int64_t most = connections_per_source_max_.load(std::memory_order_relaxed);
  return most < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(most));
}

// /proc/sys/net is that of the thread that opens it.
void RuleCollector::ReadSysctls() {
  const auto read = [&](const char* name) {
    std::int64_t value = -1;
    std::ifstream(sysctl_root_ + name) >> value;
    return value;
  };
  forwards_.store(read("/net/ipv4/ip_forward") > 0 || read("/net/ipv6/conf/all/forwarding") > 0,
                  std::memory_order_relaxed);
  connections_per_source_max_.store(read("/net/netfilter/nf_conntrack_max_per_ip"), std::memory_order_relaxed);
}

void RuleCollector::AddIpsets(FirewallReading& snapshot) {
  bool used = false;
  for (const auto& [backend, read] : snapshot.backends) used = used || read.ruleset->uses_ipsets;
  if (!used) return;
  auto sets = ReadIpsets(NftReader::kElementsMax);
  const std::string failure = sets ? "" : sets.error().message;
  if (sets) snapshot.ipsets = std::make_shared<std::vector<AddressSet>>(std::move(*sets));
  if (failure != ipsets_failure_) {
    spdlog::log(sets ? spdlog::level::info : spdlog::level::err, "rules: ipsets: {}",
                sets ? "read again" : "cannot be read: " + failure);
  }
  ipsets_failure_ = failure;
}

// What is read and what is not, in one line, when that has changed. One that fails is told of with the other
// collectors.
void RuleCollector::Report(const FirewallReading& snapshot) {
  bool changed = false;
  std::string line;
  for (const auto& [backend, read] : snapshot.backends) {
    if (!read.success && read.present) continue;
    const std::string state = read.success ? "read" : read.failure;
    changed = changed || state != reported_[backend];
    reported_[backend] = state;
    if (!line.empty()) line += "; ";
    line += NameOf(backend);
    line += read.success ? ": " + std::to_string(read.ruleset->rules.size()) + " rules"
                         : (read.lacks_capability ? " is off: " : " is skipped: ") + read.failure;
  }
  if (changed) spdlog::info("rules: {}", line);
}

}  // namespace conntally
