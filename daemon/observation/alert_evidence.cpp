// Observer::GatherEvidence: looks at all sources once a second, and keeps few.
#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <unordered_set>

#include "daemon/observation/exported/ranking.h"
#include "daemon/observation/observer.h"

namespace conntally {
namespace {

// Below this rate a source counts as no longer dropped.
constexpr double kDropRateMin = 0.02;
constexpr std::size_t kAttemptLeaders = 5;

// What a source has shown, as a number to rank by; 0: nothing.
double ShownBy(const Tally::Source& source) {
  return source.regular_minutes() + (source.proof() == Proof::kProven ? 1 : 0);
}

bool IsIn(const std::vector<Prefix>& prefixes, const IpAddress& address) {
  return std::ranges::any_of(prefixes, [&](const Prefix& prefix) { return prefix.Contains(address); });
}

// One pass over the sources, but for the blocks of rows in which none can matter.
class SourceSweep {
 public:
  SourceSweep(const std::vector<Prefix>& exclude, const std::set<IpAddress>& own, std::size_t lookups_max,
              std::size_t regulars_max, const AnswerFigures* answers)
      : exclude_(exclude),
        own_(own),
        answers_(answers),
        lookups_max_(lookups_max),
        by_connections_(std::max(lookups_max, AlertEvidence::kRankedMax)),
        regulars_max_(regulars_max),
        regulars_(regulars_max) {
    if (answers_ == nullptr) return;
    for (SourceRow row = 0; row < answers_->rows.size(); ++row) {
      if (answers_->rows[row].attempts > 0) blocks_with_attempts_.insert(row / SourceTable::kRowsPerBlock);
    }
  }

  bool Wants(const Tally::Block& block, SourceRow first) const {
    return regulars_max_ > 0 || by_connections_.MayRank(static_cast<double>(block.connections_max), first) ||
           by_new_rate_.MayRank(static_cast<double>(block.new_rate_max), first) ||
           blocks_with_attempts_.contains(first / SourceTable::kRowsPerBlock);
  }

  void Visit(const Tally::Source& source) {
    const SourceRow row = source.row();
    const AnswerFigures::OfSource* const lately =
        answers_ != nullptr && row < answers_->rows.size() && answers_->rows[row].attempts > 0 ? &answers_->rows[row]
                                                                                               : nullptr;
    const auto connections = static_cast<double>(source.connections());
    const double shown = ShownBy(source);
    if (lately == nullptr && !regulars_.MayRank(shown, row) && !by_connections_.MayRank(connections, row) &&
        !by_new_rate_.MayRank(source.new_rate(), row))
      return;
    const IpAddress address = source.address();
    if (IsIn(exclude_, address)) return;
    regulars_.Enter(shown, row);
    by_connections_.Enter(connections, row);
    by_new_rate_.Enter(source.new_rate(), row);
    if (lately != nullptr) CountAttempts(*lately, source, address);
  }

  // The leaders, of the view that was swept; into `to_look_up` as many with the most connections as have their limits
  // looked up.
  std::map<IpAddress, SourceFigures> Leaders(const Tally::View& view, std::vector<SourceFigures>& to_look_up) {
    std::map<IpAddress, SourceFigures> leaders;
    const auto add = [&](const SourceFigures& figures) { leaders.emplace(figures.source, figures); };
    for (const auto& entry : by_new_rate_.Take()) add(*view.Source(entry.key));
    auto most = by_connections_.Take();
    std::sort(most.begin(), most.end());
    for (std::size_t i = 0; i < most.size(); ++i) {
      const SourceFigures figures = *view.Source(most[i].key);
      if (i < AlertEvidence::kRankedMax) add(figures);
      if (i < lookups_max_) to_look_up.push_back(figures);
    }
    return leaders;
  }

  std::vector<SourceFigures> Regulars(const Tally::View& view) {
    std::vector<SourceFigures> regulars;
    for (const auto& entry : regulars_.Take()) regulars.push_back(*view.Source(entry.key));
    return regulars;
  }

  const AlertEvidence::Attempts& attempts() const { return attempts_; }
  static std::vector<std::pair<IpAddress, std::uint64_t>> First(Ranking<IpAddress>& ranking) {
    auto entries = ranking.Take();
    std::sort(entries.begin(), entries.end());
    std::vector<std::pair<IpAddress, std::uint64_t>> first;
    for (const auto& entry : entries) first.emplace_back(entry.key, static_cast<std::uint64_t>(entry.value));
    return first;
  }
  auto MostUnanswered() { return First(unanswered_); }
  auto MostHalfOpen() { return First(half_open_); }

 private:
  void CountAttempts(const AnswerFigures::OfSource& lately, const Tally::Source& of, const IpAddress& source) {
    if (own_.contains(source) && !IsLoopback(source)) {
      attempts_.own += lately.attempts;
      attempts_.own_unanswered += lately.unanswered;
    }
    if (ShownBy(of) <= 0) {
      if (lately.half_open == 0) return;
      attempts_.half_open += lately.half_open;
      ++attempts_.half_open_sources;
      half_open_.Enter(lately.half_open, source);
      return;
    }
    const std::uint64_t ipv6 = source.family == Family::kIpv6 ? 1 : 0;
    ++attempts_.proven_sources;
    attempts_.connected_sources += of.proof() == Proof::kProven;
    attempts_.proven_ipv6_sources += ipv6;
    attempts_.proven_failed += lately.unanswered;
    attempts_.proven_ipv6_failed += ipv6 * lately.unanswered;
    constexpr int kRecovered = 20;  // tenths of a second
    const bool recovers = lately.answered_age + kRecovered < lately.unanswered_age;
    if (lately.unanswered * 2 < lately.attempts || lately.unanswered == 0 || recovers) return;
    ++attempts_.proven_unanswered;
    attempts_.proven_ipv6_unanswered += ipv6;
    unanswered_.Enter(lately.unanswered, source);
  }

  const std::vector<Prefix>& exclude_;
  const std::set<IpAddress>& own_;
  const AnswerFigures* const answers_;
  const std::size_t lookups_max_;
  std::unordered_set<SourceRow> blocks_with_attempts_;  // by number
  AlertEvidence::Attempts attempts_;
  Ranking<SourceRow> by_connections_;
  Ranking<SourceRow> by_new_rate_{AlertEvidence::kRankedMax};
  const std::size_t regulars_max_;
  Ranking<SourceRow> regulars_;
  Ranking<IpAddress> unanswered_{kAttemptLeaders};
  Ranking<IpAddress> half_open_{kAttemptLeaders};
};

}  // namespace

AlertEvidence Observer::GatherEvidence(const AlertRules& rules) {
  Snapshot snapshot;
  DescribeCollectors(snapshot);
  AlertEvidence evidence;
  evidence.now = Clock::now();
  evidence.table = snapshot.table;
  evidence.seconds_until_full = snapshot.table_seconds_until_full;
  evidence.entries_per_second = snapshot.table_entries_per_second;
  evidence.table_full_messages = snapshot.table_full_messages;
  evidence.ready = snapshot.trust.ready;
  evidence.synced = snapshot.trust.synced;
  evidence.events_lost = snapshot.trust.events_lost;
  for (const auto& [name, status] : snapshot.collectors) {
    if (status.failing()) evidence.failing.emplace(name, status.failure);
  }
  evidence.rules = snapshot.rules;
  const DropTally::Figures drops = drops_.tally().figures();
  evidence.dropped_packets = std::accumulate(drops.packets.begin(), drops.packets.end(), std::uint64_t{0});
  evidence.dropped_to_many = drops.to_many;
  evidence.answers = conntrack_.answers();
  evidence.nat = nat_.figures();
  evidence.grouping = grouping_;
  own_addresses_.clear();
  for (const IpAddress& address : rules_.own_addresses()) own_addresses_.insert(grouping_.GroupOf(address));
  GatherDropped(evidence);
  GatherOwnDrops(evidence);
  GatherSources(rules, evidence);
  return evidence;
}

void Observer::GatherOwnDrops(AlertEvidence& evidence) {
  constexpr std::chrono::minutes kLately{1};
  auto drops = drops_.Recent([&](const RecentDrop& drop) {
    return drop.ends.destination && drop.ends.destination_port != 0 && evidence.now - drop.last <= kLately &&
           IsOwn(grouping_.GroupOf(drop.ends.source));
  });
  std::ranges::sort(drops, std::greater{}, &RecentDrop::packets);
  drops.resize(std::min(drops.size(), AlertEvidence::kDroppedMax));
  for (const RecentDrop& drop : drops) {
    evidence.own_drops.push_back({drop.ends.source.ToString(), *drop.ends.destination, drop.protocol,
                                  drop.ends.destination_port, drop.rule, drop.packets, drop.last});
  }
}

void Observer::GatherSources(const AlertRules& rules, AlertEvidence& evidence) {
  const auto settings = config();
  const bool regulars_due = evidence.now >= next_regulars_;
  SourceSweep sweep(settings->sources.exclude, own_addresses_,
                    limits_.Any(settings->limits) ? AlertEvidence::kLimitLookupsMax : 0,
                    regulars_due ? AlertEvidence::kRegularsMax : 0, evidence.answers.get());
  std::map<IpAddress, SourceFigures> leaders;
  std::vector<SourceFigures> to_look_up;
  {
    const Tally::View view = tally_.Take(Clock::now());
    view.ForEach([&](const Tally::Source& source) { sweep.Visit(source); },
                 [&](const Tally::Block& block, SourceRow first) { return sweep.Wants(block, first); });
    const auto figures_of = [&](const IpAddress& source) {
      const SourceRow row = IsIn(settings->sources.exclude, source) ? kNoSourceRow : view.Find(source);
      return row != kNoSourceRow ? *view.Source(row) : SourceFigures{};
    };
    for (auto& source : evidence.dropped) source.figures = figures_of(source.drops.source);
    if (evidence.answers) {
      for (const auto& candidate : evidence.answers->candidates)
        evidence.failing_sources.push_back(
            {NameOf(candidate.source), candidate, figures_of(candidate.source), IsOwn(candidate.source)});
    }
    leaders = sweep.Leaders(view, to_look_up);
    if (regulars_due) evidence.regulars = sweep.Regulars(view);
    const auto& opened = view.totals().opened;
    evidence.opened = std::accumulate(opened.begin(), opened.end(), std::uint64_t{0});
  }
  if (regulars_due) {
    std::set<IpAddress> regulars;
    for (const SourceFigures& figures : evidence.regulars) regulars.insert(figures.source);
    drops_.set_regulars(std::move(regulars));
    next_regulars_ = evidence.now + AlertEvidence::kRegularsEvery;
  }
  evidence.attempts = sweep.attempts();
  for (const auto& [source, count] : sweep.MostUnanswered())
    evidence.attempts.unanswered_leaders.push_back({NameOf(source), count});
  for (const auto& [source, count] : sweep.MostHalfOpen())
    evidence.attempts.half_open_leaders.push_back({NameOf(source), count});
  // Without the view: the look-ups may need one.
  const AlertRule& rule = rules[AlertKind::kSourceNearConnectionLimit];
  Ranking<IpAddress, std::pair<SourceFigures, std::vector<SourceLimit>>> by_usage(AlertEvidence::kRankedMax);
  for (const SourceFigures& figures : to_look_up) {
    std::vector<SourceLimit> limits = LimitsOf(figures);
    if (limits.empty() || rule.Quiet(limits.front().usage())) continue;
    const double usage = limits.front().usage();
    by_usage.Enter(usage, figures.source, std::pair(figures, std::move(limits)));
  }
  std::map<IpAddress, std::vector<SourceLimit>> limits_of;
  for (auto& entry : by_usage.Take()) {
    leaders.emplace(entry.key, entry.payload.first);
    limits_of.emplace(entry.key, std::move(entry.payload.second));
  }
  for (const auto& [address, figures] : leaders) {
    evidence.sources.push_back({NameOf(address), figures, {}, IsOwn(address)});
    const auto limits = limits_of.find(address);
    if (limits != limits_of.end()) evidence.sources.back().limits = std::move(limits->second);
  }
}

// The sources with the highest rates, proven or not: the judge considers that.
void Observer::GatherDropped(AlertEvidence& evidence) {
  const auto settings = config();
  const std::vector<Prefix>& exclude = settings->sources.exclude;
  Ranking<IpAddress> by_rate(AlertEvidence::kDroppedMax);
  for (const DropTally::Rated& rated : drops_.tally().Rates(evidence.now)) {
    if (rated.rate < kDropRateMin) continue;
    if (IsIn(exclude, rated.source)) continue;
    by_rate.Enter(rated.rate, rated.source);
  }
  auto ranked = by_rate.Take();
  std::sort(ranked.begin(), ranked.end());
  for (const auto& entry : ranked) {
    if (auto drops = drops_.tally().Find(entry.key, evidence.now))
      evidence.dropped.push_back({NameOf(entry.key), std::move(*drops), {}, IsOwn(entry.key)});
  }
}

}  // namespace conntally
