#include "daemon/alerts/evidence/rule_spikes.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace conntally {
namespace {

// Identifies a rule among all others.
std::string IdentityOf(const Rule& rule, std::uint32_t occurrence) {
  std::string identity = NameOf(rule.family);
  for (const std::string& part : {rule.table, rule.chain, rule.text, std::to_string(occurrence)})
    identity += '\n' + part;
  return identity;
}

double RateBetween(SteadyTime from, SteadyTime to, std::uint64_t packets) {
  const double seconds = std::chrono::duration<double>(to - from).count();
  return seconds > 0 ? static_cast<double>(packets) / seconds : 0;
}

}  // namespace

void RuleSpikes::Add(const RuleFigures& figures, SteadyTime now) {
  last_reading_ = now;
  std::erase_if(known_, [&](const auto& known) {
    const auto found = figures.backends.find(known.first);
    return found == figures.backends.end() || !found->second.snapshot.ruleset;
  });
  Newcomers newcomers;
  for (const auto& [backend, of_backend] : figures.backends) {
    if (!of_backend.snapshot.ruleset) continue;
    OfBackend& known = known_[backend];
    if (known.ruleset != of_backend.snapshot.ruleset) TakeOver(known, of_backend);
    Look(known, of_backend, now, newcomers);
  }
  Admit(newcomers, now);
  for (auto& [label, rule] : rules_) {
    if (rule.last_seen == now) Follow(rule, now);
  }
  // A rule that a reload removes for a moment keeps its past.
  std::erase_if(rules_, [&](const auto& entry) { return now - entry.second.last_rose > kPast; });
}

// Rules of a changed ruleset keep what is known of them.
void RuleSpikes::TakeOver(OfBackend& known, const BackendFigures& figures) {
  std::unordered_map<std::string, Known> before;
  for (std::size_t i = 0; i < known.rules.size(); ++i) {
    if (known.rules[i].counts)
      before.emplace(IdentityOf(known.ruleset->rules[i], known.rules[i].occurrence), known.rules[i]);
  }
  known.ruleset = figures.snapshot.ruleset;
  const std::vector<Rule>& rules = known.ruleset->rules;
  known.rules.assign(std::min(rules.size(), figures.totals.size()), {});
  for (std::size_t i = 0; i < known.rules.size(); ++i) {
    known.rules[i].occurrence = figures.totals[i].occurrence;
    if (before.empty()) continue;
    const auto as = before.find(IdentityOf(rules[i], known.rules[i].occurrence));
    if (as != before.end()) known.rules[i] = as->second;
  }
}

void RuleSpikes::Look(OfBackend& known, const BackendFigures& figures, SteadyTime now, Newcomers& newcomers) {
  for (std::size_t i = 0; i < known.rules.size(); ++i) {
    const Rule& rule = known.ruleset->rules[i];
    const auto& counter = figures.totals[i].counter;
    Known& of_rule = known.rules[i];
    if ((rule.verdict != Verdict::kDrop && rule.verdict != Verdict::kReject) || !counter) continue;
    if (!of_rule.counts)
      of_rule = {.counts = true, .occurrence = of_rule.occurrence, .packets = counter->packets, .quiet_since = now};
    const std::uint64_t last = std::exchange(of_rule.packets, counter->packets);
    const std::uint64_t rise = counter->packets > last ? counter->packets - last : 0;
    std::string label = RuleLabel(rule.text);
    const SteadyTime quiet_since = rise != 0 ? std::exchange(of_rule.quiet_since, now) : now;
    const auto followed = rules_.find(label);
    if (followed == rules_.end()) {
      if (rise == 0) continue;
      Newcomer& newcomer = newcomers.try_emplace(std::move(label), Newcomer{&of_rule, quiet_since, 0}).first->second;
      newcomer.rise += rise;
      continue;
    }
    followed->second.last_seen = now;
    if (rise == 0) continue;
    followed->second.last_rose = now;
    followed->second.total += rise;
  }
}

// Rules that count most come first.
void RuleSpikes::Admit(const Newcomers& newcomers, SteadyTime now) {
  std::vector<Newcomers::const_iterator> most;
  for (auto newcomer = newcomers.begin(); newcomer != newcomers.end(); ++newcomer) most.push_back(newcomer);
  std::stable_sort(most.begin(), most.end(),
                   [](const auto& a, const auto& b) { return a->second.rise > b->second.rise; });
  std::vector<std::pair<SteadyTime, std::string>> quiet;  // the longest last
  if (rules_.size() + most.size() > kRulesMax) {
    for (const auto& [label, rule] : rules_) {
      if (rule.last_rose != now) quiet.emplace_back(rule.last_rose, label);
    }
    std::sort(quiet.begin(), quiet.end(), std::greater{});
  }
  for (const auto& each : most) {
    const auto& [label, newcomer] = *each;
    if (rules_.size() >= kRulesMax) {
      if (quiet.empty()) {
        if (!std::exchange(newcomer.known->turned_away, true)) ++turned_away_;
        continue;
      }
      rules_.erase(quiet.back().second);
      quiet.pop_back();
      ++turned_away_;
    }
    Followed& rule = rules_[label];
    rule.total = newcomer.rise;
    rule.last_seen = rule.last_rose = now;
    // As if it had been followed while quiet.
    rule.bucket = {std::max(newcomer.quiet_since, now - kNow), 0};
    rule.recent = {rule.bucket};
    const auto buckets = static_cast<std::size_t>((rule.bucket.when - newcomer.quiet_since) / kBucket);
    rule.past.assign(std::min(buckets, kBucketsMax), 0);
  }
}

void RuleSpikes::Follow(Followed& rule, SteadyTime now) {
  rule.recent.push_back({now, rule.total});
  // Samples move from the present to the past; one that is at least kNow old stays as the base.
  while (rule.recent.size() > 2 && now - rule.recent[1].when >= kNow) {
    rule.recent.pop_front();
    const Sample& past = rule.recent.front();
    if (past.when - rule.bucket.when < kBucket) continue;
    rule.past.push_back(RateBetween(rule.bucket.when, past.when, past.total - rule.bucket.total));
    rule.bucket = past;
    if (rule.past.size() > kBucketsMax) rule.past.pop_front();
  }
}

std::vector<RuleSpikes::Spike> RuleSpikes::Spikes() const {
  std::vector<Spike> spikes;
  for (const auto& [label, rule] : rules_) {
    if (rule.last_seen != last_reading_ || rule.recent.size() < 2 || rule.past.size() * kBucket < kPastMin) continue;
    const Sample& from = rule.recent.front();
    const Sample& to = rule.recent.back();
    Spike spike;
    spike.rule = label;
    spike.packets = to.total - from.total;
    spike.rate = RateBetween(from.when, to.when, spike.packets);
    std::vector<double> past(rule.past.begin(), rule.past.end());
    const auto middle = past.begin() + static_cast<std::ptrdiff_t>(past.size() / 2);
    std::nth_element(past.begin(), middle, past.end());
    spike.past_rate = *middle;
    spike.times = spike.rate / std::max(spike.past_rate, kQuietRate);
    spikes.push_back(std::move(spike));
  }
  return spikes;
}

}  // namespace conntally
