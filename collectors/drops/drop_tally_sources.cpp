// What DropTally keeps of each source, and how that is read.
#include <algorithm>
#include <cmath>

#include "collectors/drops/drop_tally.h"

namespace conntally {
namespace {

double Faded(double recent, std::chrono::steady_clock::duration age) {
  return recent * std::exp(-std::chrono::duration<double>(age) / DropTally::kRateWindow);
}

}  // namespace

void DropTally::Count(const Dropped& dropped, DropVia via, RuleName rule, std::uint64_t packets, Moment now) {
  const IpAddress& source = dropped.source;
  figures_.packets[static_cast<std::size_t>(via)] += packets;
  if (groups_) figures_.group_packets[groups_->Of(source)] += packets;
  if (via == DropVia::kNflog || via == DropVia::kLog) RememberTold(source, packets);
  Breakdown& breakdown = table_.Add(Grouped(source), packets).payload;
  figures_.rules_turned_away += breakdown.shares.Add(via, rule, packets, now.monotonic);
  if (breakdown.first_seen == std::chrono::sys_seconds{}) breakdown.first_seen = now.wall;
  breakdown.last_seen = now.wall;
  breakdown.recent = Faded(breakdown.recent, now.monotonic - breakdown.recent_at) + static_cast<double>(packets);
  breakdown.recent_at = now.monotonic;
  if (dropped.protocol != 0 && (packets > 1 || breakdown.last_dropped != std::chrono::steady_clock::time_point{})) {
    if (!breakdown.targets) breakdown.targets = std::make_unique<DropTargets>();
    breakdown.targets->Add(dropped.protocol, dropped.port, packets, dropped.when);
  }
  breakdown.last_dropped = std::max(breakdown.last_dropped, dropped.when);
}

SourceDrops DropTally::Describe(const Table::Entry& entry, std::chrono::steady_clock::time_point now) const {
  const Breakdown& breakdown = entry.payload;
  SourceDrops drops{entry.source, {}, entry.certain(),      breakdown.shares.forgotten(),
                    entry.error,  0,  breakdown.first_seen, breakdown.last_seen};
  drops.last_dropped = breakdown.last_dropped;
  if (breakdown.targets) {
    drops.targets = breakdown.targets->Most(now);
    drops.distinct_ports = breakdown.targets->DistinctPorts(now);
  }
  drops.rate = Faded(breakdown.recent, now - breakdown.recent_at) / static_cast<double>(kRateWindow.count());
  breakdown.shares.ForEach([&](RuleName rule, DropVia via, std::uint64_t packets) {
    drops.shares.push_back({names_.Text(rule), via, packets});
  });
  return drops;
}

std::optional<SourceDrops> DropTally::Find(const IpAddress& source, std::chrono::steady_clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const Table::Entry* entry = table_.Find(source);
  if (entry == nullptr) return std::nullopt;
  return Describe(*entry, now);
}

std::vector<SourceDrops> DropTally::Sources(std::chrono::steady_clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  std::vector<SourceDrops> sources;
  sources.reserve(table_.size());
  table_.ForEach([&](const Table::Entry& entry) { sources.push_back(Describe(entry, now)); });
  return sources;
}

std::vector<DropTally::Rated> DropTally::Rates(std::chrono::steady_clock::time_point now) const {
  constexpr double kRateMin = 0.001;  // a single packet, a minute ago
  const std::lock_guard lock(mutex_);
  std::vector<Rated> rates;
  table_.ForEach([&](const Table::Entry& entry) {
    if (entry.certain() <= entry.error) return;
    const double recent = Faded(entry.payload.recent, now - entry.payload.recent_at);
    const double rate = recent / static_cast<double>(kRateWindow.count());
    if (rate >= kRateMin) rates.push_back({entry.source, rate});
  });
  return rates;
}

DropTally::Figures DropTally::figures() const {
  const std::lock_guard lock(mutex_);
  Figures figures = figures_;
  figures.sources_evicted = table_.evictions();
  return figures;
}

}  // namespace conntally
