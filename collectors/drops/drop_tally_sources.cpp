// DropTally's data per source, and how it is read.
#include <algorithm>
#include <cmath>

#include "collectors/drops/drop_tally.h"

namespace conntally {
namespace {

double Faded(double recent, std::chrono::steady_clock::duration age) {
  return recent * std::exp(-std::chrono::duration<double>(age) / DropTally::kRateWindow);
}

// A multicast or broadcast address. A network's own broadcast address is taken to end in 255.
bool IsToMany(const IpAddress& address) {
  if (address.family == Family::kIpv6) return address.bytes[0] == 0xff;
  return (address.bytes[0] & 0xf0) == 0xe0 || address.bytes[3] == 255;
}

}  // namespace

void DropTally::Count(const DropKey& key, RecentDrops::Span span, DropVia via, RuleName rule, std::uint64_t packets,
                      Time now) {
  CountSource(key, span.last, via, rule, packets, now);
  recent_.Add(key, via, rule, packets, span);
}

void DropTally::CountSource(const DropKey& key, Time dropped, DropVia via, RuleName rule, std::uint64_t packets,
                            Time now) {
  const DropEnds ends = key.ends();
  figures_.packets[static_cast<std::size_t>(via)] += packets;
  if (key.destination && IsToMany(*key.destination)) figures_.to_many += packets;
  if (groups_) figures_.group_packets[groups_->Of(ends.source)] += packets;
  if (via == DropVia::kNflog || via == DropVia::kLog) RememberTold(key.source, packets);
  Breakdown& breakdown = table_.Add(options_.grouping.GroupOf(ends.source), packets).payload;
  figures_.rules_turned_away += breakdown.shares.Add(via, rule, packets, now);
  if (breakdown.first_seen == Time{}) breakdown.first_seen = now;
  breakdown.recent = Faded(breakdown.recent, now - breakdown.recent_at) + static_cast<double>(packets);
  breakdown.recent_at = now;
  if (key.protocol != 0 && (packets > 1 || breakdown.last_dropped != Time{})) {
    if (!breakdown.targets) breakdown.targets = std::make_unique<DropTargets>();
    const bool one = ends.destination && !IsToMany(*ends.destination);
    breakdown.targets->Add(key.protocol, ends.destination_port,
                           one ? hash_(std::as_bytes(std::span(ends.destination->bytes))) : 0, packets, dropped);
  }
  breakdown.last_dropped = std::max(breakdown.last_dropped, dropped);
}

SourceDrops DropTally::Describe(const Table::Entry& entry, std::chrono::steady_clock::time_point now) const {
  const Breakdown& breakdown = entry.payload;
  SourceDrops drops{entry.source, {}, entry.certain(),      breakdown.shares.forgotten(),
                    entry.error,  0,  breakdown.first_seen, breakdown.recent_at};
  drops.last_dropped = breakdown.last_dropped;
  if (breakdown.targets) {
    drops.targets = breakdown.targets->Most(now);
    drops.distinct_ports = breakdown.targets->DistinctPorts(now);
    drops.distinct_pairs = breakdown.targets->DistinctPairs(now);
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
  constexpr double kRateMin = 0.001;  // about one packet, a minute ago
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

std::vector<RecentDrop> DropTally::Recent(const std::function<bool(const RecentDrop&)>& wanted) const {
  const std::lock_guard lock(mutex_);
  std::vector<RecentDrop> drops;
  recent_.ForEach([&](RecentDrop drop, RuleName rule) {
    if (!wanted(drop)) return;
    drop.rule = names_.Text(rule);
    drops.push_back(std::move(drop));
  });
  for (const auto& [key, waiting] : unattributed_) {
    RecentDrop drop = RecentDrops::Described(key, DropVia::kEbpf, waiting.packets, waiting.span);
    if (wanted(drop)) drops.push_back(std::move(drop));
  }
  return drops;
}

void DropTally::set_regulars(std::set<IpAddress> regulars) {
  const std::lock_guard lock(mutex_);
  recent_.set_regulars(std::move(regulars));
}

DropTally::Figures DropTally::figures() const {
  const std::lock_guard lock(mutex_);
  Figures figures = figures_;
  figures.sources_evicted = table_.evictions();
  figures.recent_turned_away = recent_.turned_away();
  return figures;
}

}  // namespace conntally
