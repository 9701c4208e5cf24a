#include "daemon/alerts/drop_judges/judge_spikes.h"

#include <numeric>

namespace conntally {
namespace {

double Sum(const std::vector<double>& rates) { return std::accumulate(rates.begin(), rates.end(), 0.0); }

// A spike is measured over the last kNow, which counts as part of its `for`.
AlertRule SoonerBy(AlertRule rule, std::chrono::milliseconds sooner) {
  for (auto& tier : rule.tiers) {
    if (tier) tier->for_at_least = std::max(tier->for_at_least - sooner, std::chrono::milliseconds(0));
  }
  return rule;
}

}  // namespace

void SpikeJudge::Read(const AlertRules& rules, const AlertEvidence& evidence, const DropJudge& drops, Readings& into) {
  opened_.Add(evidence.now, evidence.opened);
  // Chatter of a LAN, such as mDNS and NetBIOS, is nobody's trouble.
  dropped_.Add(evidence.now, evidence.dropped_packets - evidence.dropped_to_many);
  dropped_to_many_.Add(evidence.now, evidence.dropped_to_many);
  const AlertRule rule = SoonerBy(rules[AlertKind::kDropRuleSpike], RuleSpikes::kNow);
  const double usual = std::max(kUsual, kUsualOfTraffic * opened_.PerSecond(evidence.now));
  const double growth = FollowGrowth(evidence);
  double told_rate = 0;
  if (evidence.rules) {
    if (evidence.rules != last_rules_) spikes_.Add(*evidence.rules, evidence.now);
    last_rules_ = evidence.rules;
    for (const RuleSpikes::Spike& spike : spikes_.Spikes()) {
      const auto found = drops.by_rule().find(spike.rule);
      const bool sources_known = found != drops.by_rule().end();
      const double of_few = sources_known ? Sum(found->second.most) : 0;
      const double counted = std::max(spike.rate - of_few - dropped_to_many_.PerSecond(evidence.now), 0.0);
      const double times = counted / std::max(spike.past_rate * growth, usual);
      if ((sources_known && found->second.sources < kSourcesMin) || rule.Quiet(times)) continue;
      told_rate += spike.rate;
      const std::string sources =
          sources_known ? fmt::format(" They are of {} sources or more; the {} with most send {:.1f} a second.",
                                      found->second.sources, found->second.most.size(), of_few)
                        : "";
      into.push_back(
          {{AlertKind::kDropRuleSpike, {}, spike.rule},
           times,
           fmt::format("The rule {} matches {:.1f} packets a second, after {:.1f} before.{} This host opens {:.1f} "
                       "connections a second.",
                       spike.rule, spike.rate, spike.past_rate, sources, opened_.PerSecond(evidence.now)),
           {{"rate", spike.rate}, {"past_rate", spike.past_rate}, {"packets", static_cast<double>(spike.packets)}},
           Standing::kHost,
           rule});
    }
  }
  ReadHost(rule, evidence, drops, {usual, growth, told_rate}, into);
}

double SpikeJudge::FollowGrowth(const AlertEvidence& evidence) {
  if (!evidence.answers) return 1;
  const auto active = static_cast<double>(evidence.attempts.connected_sources);
  active_past_.Add(evidence.now, active, false);
  return active_past_.known() ? std::clamp(active / std::max(active_past_.Median(), 1.0), 1.0, kGrowthMost) : 1;
}

// Drops that the rules' own spikes do not explain.
void SpikeJudge::ReadHost(const AlertRule& rule, const AlertEvidence& evidence, const DropJudge& drops,
                          const Usual& usual, Readings& into) {
  double of_few = 0;
  std::size_t sources = 0;
  const std::pair<const std::string, DropJudge::RuleDrops>* most = nullptr;
  for (const auto& each : drops.by_rule()) {
    of_few += Sum(each.second.most);
    sources += each.second.sources;
    if (most == nullptr || each.second.rate > most->second.rate) most = &each;
  }
  const double rate = dropped_.PerSecond(evidence.now);
  const double left = std::max(rate - of_few, 0.0);
  const double times = left / std::max(dropped_past_.Median() * usual.growth, usual.least);
  const bool spikes = dropped_past_.known() && sources >= kSourcesMin && !rule.Quiet(times);
  dropped_past_.Add(evidence.now, left, spikes);
  if (!spikes || usual.told_rate >= rate / 2) return;
  const std::string label = most->second.rate >= rate / 2 ? most->first : "";
  if (label.empty() && drops.ports_exhausted()) return;
  if (std::any_of(into.begin(), into.end(), [&](const AlertReading& reading) {
        return reading.subject == AlertSubject{AlertKind::kDropRuleSpike, {}, label};
      }))
    return;
  into.push_back(
      {{AlertKind::kDropRuleSpike, {}, label},
       times,
       fmt::format("{:.1f} packets a second are dropped or rejected on this host, after {:.1f} before; most of them by "
                   "{}. They are of {} sources or more. This host opens {:.1f} connections a second.",
                   rate, dropped_past_.Median(), label.empty() ? "no known rule" : "the rule " + label, sources,
                   opened_.PerSecond(evidence.now)),
       {{"rate", rate}, {"past_rate", dropped_past_.Median()}, {"sources", static_cast<double>(sources)}},
       Standing::kHost,
       rule});
}

std::string SpikeJudge::Restore(const nlohmann::json& saved) {
  if (!saved.is_object() || !dropped_past_.Restore(saved.value("dropped", nlohmann::json::array())) ||
      !active_past_.Restore(saved.value("active", nlohmann::json::array())))
    return "the past of what is dropped is not readable";
  return {};
}

}  // namespace conntally
