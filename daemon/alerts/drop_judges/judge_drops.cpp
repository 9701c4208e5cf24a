#include "daemon/alerts/drop_judges/judge_drops.h"

#include <cmath>
#include <utility>

#include "daemon/alerts/judges/judge_nat.h"

namespace conntally {
namespace {

AlertRule OfStranger(const AlertRule& of_kind, std::chrono::milliseconds warning_for) {
  AlertRule rule = of_kind.Milder();
  AlertTier& warning = *rule.tiers[static_cast<std::size_t>(Severity::kWarning)];
  warning.for_at_least = std::max(warning.for_at_least, warning_for);
  return rule;
}

std::string NameOfRule(const std::string& label) { return label.empty() ? "no known rule" : "the rule " + label; }

}  // namespace

void DropJudge::Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  const double elapsed =
      last_look_ == SteadyTime{} ? 0 : std::chrono::duration<double>(evidence.now - last_look_).count();
  last_look_ = evidence.now;
  habits_.Look(evidence.now);
  news_.clear();
  FollowServices(evidence);
  FollowRules(evidence);
  regulars_.Add(evidence.regulars, evidence.now);
  by_rule_.clear();
  rates_.clear();
  std::vector<ByRules> by_source;
  for (const auto& source : evidence.dropped) {
    by_source.push_back(FollowRates(evidence, source));
    FollowEpisode(evidence, source, by_source.back(), elapsed);
  }
  FollowHabits(evidence.now);
  for (std::size_t i = 0; i < by_source.size(); ++i) ReadSource(rules, evidence.dropped[i], by_source[i], into);
  for (auto& [label, drops] : by_rule_) {
    const auto most = drops.most.begin() + static_cast<std::ptrdiff_t>(std::min(kMost, drops.most.size()));
    std::partial_sort(drops.most.begin(), most, drops.most.end(), std::greater{});
    drops.most.erase(most, drops.most.end());
  }
  if (evidence.nat && NatJudge::AnyExhausted(*evidence.nat)) ports_exhausted_until_ = evidence.now + kOver;
  ReadRegulars(rules, into);
  ReadOwn(evidence, into);
  std::erase_if(drop_rates_,
                [&](const auto& entry) { return evidence.now - entry.second.last_seen > 2 * BatchedRate::kWindow; });
  if (drop_rates_.size() <= kDropRatesMax) return;
  drop_rates_forgotten_ +=
      std::erase_if(drop_rates_, [&](const auto& entry) { return entry.second.last_seen != evidence.now; });
}

DropJudge::ByRules DropJudge::FollowRates(const AlertEvidence& evidence, const AlertEvidence::DroppedSource& source) {
  ByRules by_rules;
  for (const DropShare& share : source.drops.shares) {
    ByRule& of_rule = by_rules[RuleLabel(share.rule)];
    of_rule.packets += share.packets;
    of_rule.vias += (of_rule.vias.empty() ? "" : ", ") + std::string(NameOf(share.via));
  }
  if (source.drops.forgotten != 0) by_rules[""].packets -= source.drops.forgotten;
  for (auto& [label, of_rule] : by_rules) {
    DropRate& followed = drop_rates_[{source.name, label}];
    followed.rate.Add(evidence.now, of_rule.packets);
    followed.last_seen = evidence.now;
    of_rule.rate = followed.rate.PerSecond(evidence.now);
    if (of_rule.rate <= 0) continue;
    RuleDrops& drops = by_rule_[label];
    drops.rate += of_rule.rate;
    drops.most.push_back(of_rule.rate);
    ++drops.sources;
    rates_[source.name] += of_rule.rate;
  }
  return by_rules;
}

void DropJudge::FollowEpisode(const AlertEvidence& evidence, const AlertEvidence::DroppedSource& source,
                              const ByRules& by_rules, double elapsed) {
  const SourceDrops& drops = source.drops;
  const bool dated = drops.last_dropped != SteadyTime{};
  auto found = episodes_.find(source.name);
  if (found == episodes_.end()) {
    if (episodes_.size() >= kEpisodesMax || (dated && evidence.now - drops.last_dropped > kOver)) return;
    Episode episode;
    episode.onset = episode.last = dated ? drops.last_dropped : evidence.now;
    episode.minutes = std::max({regulars_.MinutesOf(drops.source), source.figures.regular_minutes,
                                static_cast<std::uint8_t>(source.figures.proof == Proof::kProven)});
    episode.packets = drops.packets > 0 ? drops.packets - 1 : 0;
    episode.opened = source.figures.opened;
    episode.opens_every = std::min(1 / std::max(source.figures.new_rate, 1e-3), kLately);
    episode.last_opened = episode.onset;
    found = episodes_.emplace(source.name, std::move(episode)).first;
  }
  Episode& episode = found->second;
  const double fades = std::exp(-elapsed / kLately);
  const std::uint64_t lost = drops.packets > episode.packets ? drops.packets - episode.packets : 0;
  const std::uint64_t opened = source.figures.opened > episode.opened ? source.figures.opened - episode.opened : 0;
  episode.packets = drops.packets;
  episode.opened = source.figures.opened;
  if (lost > 0) {
    episode.last = std::max(episode.last, dated ? drops.last_dropped : evidence.now);
    episode.cut_off = episode.cut_off && episode.last_opened <= episode.onset;
  }
  episode.opened_lately = episode.opened_lately * fades + static_cast<double>(opened);
  if (opened > 0) episode.last_opened = evidence.now;

  if (lost > 0 && !by_rules.empty()) {
    // Of late; the first packets after a change of rules have no known rule.
    const auto weight = [](const auto& entry) {
      const double less = entry.first.empty() ? kUnnamedWeighsLess : 1;
      return std::pair(entry.second.rate / less, static_cast<double>(entry.second.packets) / less);
    };
    const auto most = std::max_element(by_rules.begin(), by_rules.end(),
                                       [&](const auto& one, const auto& other) { return weight(one) < weight(other); });
    const auto present = by_rules.find(episode.rule);
    if (present == by_rules.end() || present->first.empty() ||
        weight(*most).first > kTimesTheOther * weight(*present).first) {
      if (episode.rule != most->first) episode.news.reset();
      episode.rule = most->first;
    }
  }
  double of_all = 0, to_services = 0, to_tcp = 0;
  for (const DropTarget& target : drops.targets) {
    of_all += target.packets;
    if (services_.contains({target.protocol, target.port})) {
      to_services += target.packets;
    } else if (target.protocol == 6) {
      to_tcp += target.packets;
    }
  }
  constexpr double kMissed = 6;  // connections that it would have opened
  const double silent = std::chrono::duration<double>(evidence.now - episode.last_opened).count();
  const double tried = of_all > 0 ? (to_services + to_tcp) / of_all : 1;
  const bool nowhere = episode.opened_lately < 0.5 && silent >= std::min(kMissed * episode.opens_every, kLately);
  if (nowhere) to_services += to_tcp;
  const double part = of_all > 0 ? to_services / of_all : 1;
  episode.known_service = of_all > 0 && to_services > to_tcp;
  episode.lost_lately = episode.lost_lately * fades + static_cast<double>(lost) * part;
  episode.tried_lately = episode.tried_lately * fades + static_cast<double>(lost) * tried;
  const bool through = episode.MaySendAgain(evidence.now, kThrough);
  episode.fails = episode.minutes > 0 && !source.own && !invalid_.contains(episode.rule) && !through &&
                  episode.lost_lately >= kLostMin && episode.lost_lately > kLostToOpened * episode.opened_lately;
  if (episode.fails && episode.failing_since == SteadyTime{}) episode.failing_since = evidence.now;
  if (!episode.fails) episode.failing_since = {};
  episode.failed = episode.failed || episode.fails;
  episode.told = episode.told || (episode.fails && told_.contains(episode.rule));
  const bool stopped =
      episode.failed || (episode.cut_off && episode.minutes > 0 && episode.last - episode.onset >= kCutOffFor);
  const bool back = through || (episode.cut_off && episode.MaySendAgain(evidence.now, kBack));
  if (stopped && back && !episode.told && source.figures.proof == Proof::kProven &&
      !std::exchange(episode.recovered, true))
    habits_.NoteRecovered(episode.rule, episode.weight());
}

void DropJudge::ReadSource(const AlertRules& rules, const AlertEvidence::DroppedSource& source, const ByRules& by_rules,
                           Readings& into) {
  const AlertRule& of_kind = rules[AlertKind::kSourceMatchesDropRule];
  const auto episode = episodes_.find(source.name);
  const bool regular_fails = episode != episodes_.end() && episode->second.news.value_or(false);
  const Standing standing = episode != episodes_.end() && episode->second.minutes >= kRegularMinutes
                                ? Standing::kRegular
                                : StandingOf(source.figures);
  for (const auto& [label, of_rule] : by_rules) {
    const double rate = of_rule.rate;
    if (label.empty() && ports_exhausted()) continue;
    const bool fails =
        regular_fails && (!rejecting_.contains(label) || episode->second.last - episode->second.onset >= kRejectedFor);
    AlertRule rule = fails ? of_kind : OfStranger(of_kind, kStrangerFor);
    if (fails && label.empty()) {  // what RegularSourcesDropped reports of many comes as late
      for (auto& tier : rule.tiers) {
        if (tier) tier->for_at_least += kRuleKnownWithin;
      }
    }
    if (rule.Quiet(rate)) continue;
    std::string target;
    if (!source.drops.targets.empty() && source.drops.targets[0].port != 0)
      target = fmt::format(" Most go to {} port {}.", source.drops.targets[0].protocol == 6 ? "TCP" : "UDP",
                           source.drops.targets[0].port);
    into.push_back(
        {{AlertKind::kSourceMatchesDropRule, source.name, label},
         rate,
         fmt::format("{:.1f} packets a second of {} ({}) are dropped or rejected by {}; {} so far.{}", rate,
                     source.name,
                     standing == Standing::kRegular  ? "a regular"
                     : standing == Standing::kProven ? "a source that was connected here"
                                                     : "a stranger",
                     label.empty() ? "a rule that is not known" : "the rule " + label, of_rule.packets, target),
         {{"packets", static_cast<double>(of_rule.packets)},
          {"via", of_rule.vias},
          {"distinct_ports", source.drops.distinct_ports}},
         standing,
         rule});
  }
}

// How long regulars of this weight must have lost packets by a rule.
std::chrono::seconds DropJudge::LastsFor(const std::string& label, double weight) const {
  if (rejecting_.contains(label)) return kRejectedFor;
  const auto lasts = label.empty() ? kDroppedFor + kRuleKnownWithin : kDroppedFor;
  return habits_.young() && weight < kMany ? std::max(lasts, kFewDroppedFor) : lasts;
}

void DropJudge::ReadRegulars(const AlertRules& rules, Readings& into) {
  std::map<std::string, std::vector<std::pair<std::string, const Episode*>>> failing;  // by rule
  for (const auto& [name, episode] : episodes_) {
    if (episode.fails) failing[episode.rule].emplace_back(name, &episode);
  }
  if (ports_exhausted()) failing.erase("");
  std::set<std::string> told;
  std::map<std::string, double> weights;
  for (auto& [label, sources] : failing) {
    const bool is_told = told_.contains(label);
    for (const auto& [name, episode] : sources) weights[label] += episode->weight();
    if (!is_told)
      std::erase_if(sources, [&](const auto& source) { return source.second->MaySendAgain(last_look_, kDoubtAfter); });
    double all = 0, lost = 0;
    for (const auto& [name, episode] : sources) {
      all += episode->weight();
      lost += episode->tried_rate();
    }
    const bool many = habits_.IsUnusual(label, all, lost);
    const bool lone = std::any_of(sources.begin(), sources.end(), [](const auto& source) {
      return source.second->news.value_or(false) && source.second->minutes >= kLongMinutes;
    });
    if (!is_told && !many && !lone) continue;
    news_.insert(label);
    std::sort(sources.begin(), sources.end(),
              [](const auto& one, const auto& other) { return one.second->onset < other.second->onset; });
    // The heaviest group that began together, or one source that is enough.
    double weight = 0, together = 0, rate = 0;
    std::size_t first = 0;
    SteadyTime last{};
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const Episode& episode = *sources[i].second;
      together += episode.weight();
      last = std::max(last, episode.last);
      while (episode.onset - sources[first].second->onset > kOnsetTogether)
        together -= sources[first++].second->weight();
      const bool alone = episode.minutes >= kLongMinutes && episode.known_service;
      if (alone && episode.last - episode.onset >= LastsFor(label, kTold)) weight = std::max(weight, kTold);
      if (last - sources[first].second->onset >= LastsFor(label, together)) weight = std::max(weight, together);
    }
    // Once reported, it stays while they fail, whenever they began.
    if (is_told) weight = std::max(weight, all);
    if (weight < kTold * rules[AlertKind::kRegularSourcesDropped].clear_ratio) continue;
    told.insert(label);
    std::vector<std::pair<std::int64_t, std::string>> most;
    for (const auto& [name, episode] : sources) {
      const auto of_source = rates_.find(name);
      rate += of_source == rates_.end() ? 0 : of_source->second;
      most.emplace_back(std::lround(episode->lost_lately), name);
    }
    const auto& fast = rules[AlertKind::kSourceMatchesDropRule].tiers[static_cast<std::size_t>(Severity::kCritical)];
    const auto& critical =
        rules[AlertKind::kRegularSourcesDropped].tiers[static_cast<std::size_t>(Severity::kCritical)];
    if (fast && critical && weight >= kTold && rate >= fast->threshold) weight = std::max(weight, critical->threshold);
    if (critical && limiting_.contains(label)) weight = std::min(weight, critical->threshold * 0.99);
    into.push_back(
        {{AlertKind::kRegularSourcesDropped, {}, label},
         weight,
         fmt::format(
             "{} of {} regular sources lose packets to services that answered them, {:.1f} a second, by {}. Most "
             "in the last {:.0f} s: {}.",
             sources.size(), std::max(regulars_.size(), sources.size()), rate, NameOfRule(label), kLately,
             FirstOf(std::move(most), 5)),
         {{"sources", static_cast<double>(sources.size())},
          {"regulars", static_cast<double>(regulars_.size())},
          {"rate", rate}}});
  }
  told_ = std::move(told);
  habits_.Follow(weights, [this](const std::string& label) { return told_.contains(label) || news_.contains(label); });
}

// If the rule has an alert for its regulars already, that one alert covers both.
void DropJudge::ReadOwn(const AlertEvidence& evidence, Readings& into) {
  std::map<std::string, std::vector<OwnDestinations::CutOff>> by_rule;
  for (auto& each : own_destinations_.Follow(evidence)) by_rule[each.rule].push_back(std::move(each));
  for (const auto& [label, cut_off] : by_rule) {
    if (told_.contains(label) || invalid_.contains(label)) continue;
    std::vector<std::pair<std::int64_t, std::string>> most;
    for (const auto& each : cut_off) most.emplace_back(static_cast<std::int64_t>(each.packets), each.destination);
    into.push_back(
        {{AlertKind::kRegularSourcesDropped, {}, label},
         kTold,
         fmt::format("This host's own packets ({}) to {} of its regular destinations are dropped or rejected by "
                     "{}, and none of these has answered since. Most: {}.",
                     cut_off.front().source, cut_off.size(), NameOfRule(label), FirstOf(std::move(most), 5)),
         {{"destinations", static_cast<double>(cut_off.size())}}});
  }
}

}  // namespace conntally
