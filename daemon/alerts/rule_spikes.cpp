#include "daemon/alerts/rule_spikes.h"

#include <algorithm>
#include <set>

namespace conntally {
namespace {

std::string IdentityOf(const Rule& rule, const RuleTotal& total) {
  std::string identity = NameOf(rule.backend);
  for (const std::string& part : {std::string(NameOf(rule.family)), rule.table, rule.chain, rule.text, std::to_string(total.occurrence)}) {
    identity += '\n' + part;
  }
  return identity;
}

double RateBetween(SteadyTime from, SteadyTime to, std::uint64_t packets) {
  const double seconds = std::chrono::duration<double>(to - from).count();
  return seconds > 0 ? static_cast<double>(packets) / seconds : 0;
}

}  // namespace

void RuleSpikes::Add(const RuleFigures& figures, SteadyTime now) {
  std::map<std::string, std::uint64_t> counters;
  std::set<std::string> labels;
  for (const auto& [backend, of_backend] : figures.backends) {
    if (!of_backend.snapshot.ruleset) continue;
    const std::vector<Rule>& rules = of_backend.snapshot.ruleset->rules;
    for (std::size_t i = 0; i < rules.size() && i < of_backend.totals.size(); ++i) {
      const Rule& rule = rules[i];
      const RuleTotal& total = of_backend.totals[i];
      if ((rule.verdict != Verdict::kDrop && rule.verdict != Verdict::kReject) || !total.counter) continue;
      std::string label = RuleLabel(rule.text);
      if (!rules_.contains(label)) {
        if (rules_.size() >= kRulesMax) {
          ++turned_away_;
          continue;
        }
        rules_[label].bucket = {now, 0};
      }
      std::string identity = IdentityOf(rule, total);
      const auto last = last_counters_.find(identity);
      if (last != last_counters_.end() && total.counter->packets > last->second) {
        rules_[label].total += total.counter->packets - last->second;
      }
      counters.insert_or_assign(std::move(identity), total.counter->packets);
      labels.insert(std::move(label));
    }
  }
  last_counters_ = std::move(counters);
  last_reading_ = now;
  for (const std::string& label : labels) Follow(rules_[label], now);
  // A rule that a reload takes away for a moment keeps its past.
  std::erase_if(rules_, [&](const auto& entry) { return now - entry.second.last_seen > kPast; });
}

void RuleSpikes::Follow(Followed& rule, SteadyTime now) {
  rule.last_seen = now;
  rule.recent.push_back({now, rule.total});
  // What leaves the present goes into the past; one sample that is kNow old or more stays, to count from.
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
