#include "daemon/limits/source_limits.h"

#include <algorithm>

namespace conntally {
namespace {

// The most specific configured limit; 0: none.
std::uint64_t Configured(const Prefix& source, const std::vector<Config::Limit>& configured) {
  const Config::Limit* best = nullptr;
  for (const Config::Limit& limit : configured) {
    if (!limit.source.Contains(source.address)) continue;
    if (best == nullptr || limit.source.length > best->source.length) best = &limit;
  }
  return best != nullptr ? best->connections : 0;
}

}  // namespace

void SourceLimits::Follow(const std::shared_ptr<const RuleFigures>& rules, bool forwards,
                          std::optional<std::uint64_t> sysctl, ConnectionCensus& census) {
  {
    const std::lock_guard lock(mutex_);
    sysctl_ = sysctl;
  }
  if (!rules || (rules == followed_ && forwards == forwards_)) return;
  followed_ = rules;
  forwards_ = forwards;
  auto found = std::make_shared<LimitsInRules>(FindLimits(*rules, forwards));
  if (const auto counts = census.last())
    (void)CountedBy(*counts);  // keeps the replaced limits visible until the new ones are counted
  const std::lock_guard lock(mutex_);
  turned_away_.EndRound(found->turned_away);
  // Limits that are already counted stay.
  const bool as_before = asked_ != nullptr && *asked_->covered == *found->covered;
  if (as_before) {
    const bool counted = counted_ == asked_;
    found->covered = asked_->covered;
    asked_ = std::move(found);
    if (counted) counted_ = asked_;
    return;
  }
  asked_ = std::move(found);
  census.Ask(asked_->covered);
}

std::shared_ptr<const LimitsInRules> SourceLimits::CountedBy(const Census& census) const {
  const std::lock_guard lock(mutex_);
  if (asked_ != nullptr && asked_->covered == census.of) {
    counted_ = asked_;
  } else if (asked_ != nullptr && asked_->covered->empty()) {
    counted_ = asked_;  // there is nothing left to count
  }
  return counted_ != nullptr && (counted_->covered == census.of || counted_->covered->empty()) ? counted_ : nullptr;
}

std::uint64_t SourceLimits::turned_away() const {
  const std::lock_guard lock(mutex_);
  return turned_away_.total();
}

bool SourceLimits::Any(const std::vector<Config::Limit>& configured) const {
  if (std::any_of(configured.begin(), configured.end(),
                  [](const Config::Limit& limit) { return limit.connections != 0; }))
    return true;
  const std::lock_guard lock(mutex_);
  const auto has_some = [](const auto& limits) { return limits != nullptr && !limits->limits.empty(); };
  return sysctl_.value_or(0) != 0 || has_some(asked_) || has_some(counted_);
}

std::vector<SourceLimit> SourceLimits::Of(const Prefix& source, std::int64_t connections,
                                          const std::vector<Config::Limit>& configured,
                                          const ConnectionCensus& census) const {
  std::vector<SourceLimit> limits;
  const auto all = static_cast<std::uint64_t>(std::max<std::int64_t>(connections, 0));
  const auto of_all = [&](LimitOrigin origin, std::uint64_t most) {
    if (most != 0) limits.push_back({.origin = origin, .connections = most, .counted = all});
  };
  of_all(LimitOrigin::kConfig, Configured(source, configured));
  {
    const std::lock_guard lock(mutex_);
    of_all(LimitOrigin::kSysctl, sysctl_.value_or(0));
  }
  const auto counts = census.last();
  const auto in_rules = counts != nullptr ? CountedBy(*counts) : nullptr;
  const AddressRange range = RangeOf(source);
  for (std::size_t i = 0; in_rules != nullptr && i < in_rules->limits.size(); ++i) {
    const LimitInRule& limit = in_rules->limits[i];
    if (!limit.Concerns(range)) continue;
    limits.push_back({.origin = limit.origin,
                      .connections = limit.connections,
                      .counted = counts->Count(i, source.address),
                      .approximate = limit.approximate,
                      .in_doubt = limit.in_doubt,
                      .rule = limit.rule});
  }
  std::stable_sort(limits.begin(), limits.end(),
                   [](const SourceLimit& a, const SourceLimit& b) { return a.usage() > b.usage(); });
  return limits;
}

}  // namespace conntally
