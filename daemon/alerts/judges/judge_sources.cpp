#include "daemon/alerts/judges/judge_sources.h"

#include <set>

namespace conntally {
namespace {

std::vector<AlertFact> FactsOf(const SourceFigures& figures) {
  return {{"connections", static_cast<double>(figures.connections)},
          {"unreplied", static_cast<double>(figures.unreplied)},
          {"new_rate", figures.new_rate},
          {"destination_ports", static_cast<double>(figures.destination_ports)}};
}

}  // namespace

void SourceJudge::Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  if (!evidence.ready) return;
  if (!first_look_) first_look_ = evidence.now;
  if (std::exchange(just_restored_, false)) {
    for (auto& [name, followed] : followed_) followed.last_seen = evidence.now;
  }
  const auto limit = evidence.table ? static_cast<double>(evidence.table->limit.value_or(0)) : 0;
  for (const AlertEvidence::Source& source : evidence.sources) {
    const double share = limit > 0 ? static_cast<double>(source.figures.connections) / limit : 0;
    if (limit > 0 && !rules[AlertKind::kSourceNearTableLimit].Quiet(share)) {
      into.push_back({{AlertKind::kSourceNearTableLimit, source.name, {}},
                      share,
                      fmt::format("{} holds {} connections: {} of the {} that the table may have.", source.name,
                                  source.figures.connections, Percent(share), limit),
                      FactsOf(source.figures),
                      StandingOf(source.figures)});
    }
    ReadChurn(rules, evidence, source, into);
    ReadLimits(rules, source, into);
  }
  std::erase_if(followed_, [&](const auto& entry) { return evidence.now - entry.second.last_seen > kForgottenAfter; });
}

void SourceJudge::ReadChurn(const AlertRules& rules, const AlertEvidence& evidence, const AlertEvidence::Source& source,
                            Readings& into) {
  AlertRule rule = rules[AlertKind::kSourceConnectionChurn];
  if (source.own) {
    for (auto& tier : rule.tiers) {
      if (tier) tier->threshold *= kOwnTimes;
    }
  }
  const double rate = source.figures.new_rate;
  const double least = rules[AlertKind::kSourceConnectionChurn].least_threshold() * kFollowedFrom;
  auto found = followed_.find(source.name);
  if (found == followed_.end()) {
    if (rate < least) return;
    if (followed_.size() >= kFollowedMax) {
      const auto oldest = std::min_element(followed_.begin(), followed_.end(), [](const auto& one, const auto& other) {
        return one.second.last_seen < other.second.last_seen;
      });
      ++turned_away_;
      if (evidence.now - oldest->second.last_seen < Baseline::kPastMin) return;
      followed_.erase(oldest);
    }
    found = followed_.emplace(source.name, Followed{}).first;
  }
  Followed& followed = found->second;
  // Sources that were slow during the warm-up have that as their past.
  const bool warm = restored_ || evidence.now - *first_look_ >= kWarmUp;
  const double past = std::max(followed.rate.High(), least);
  const bool judged = warm || followed.rate.known();
  const bool churns = judged && rate >= kTimes * past;
  followed.rate.Add(evidence.now, rate, churns && rule.Past(rate, rule.least_threshold()));
  if (rate >= least) followed.last_seen = evidence.now;
  if (!churns || rule.Quiet(rate)) return;
  std::vector<AlertFact> facts = FactsOf(source.figures);
  facts.push_back({"past_rate", past});
  into.push_back(
      {{AlertKind::kSourceConnectionChurn, source.name, {}},
       rate,
       fmt::format("{} opens {:.1f} connections a second, after {:.1f} or less in the last hour; it has {} of "
                   "them, {} unreplied.",
                   source.name, rate, past, source.figures.connections, source.figures.unreplied),
       std::move(facts),
       StandingOf(source.figures),
       rule});
}

void SourceJudge::ReadLimits(const AlertRules& rules, const AlertEvidence::Source& source, Readings& into) {
  std::set<std::string> told;  // limits by their label, the most used first
  for (const SourceLimit& each : source.limits) {
    const AlertRule& of_kind = rules[AlertKind::kSourceNearConnectionLimit];
    const AlertRule rule = each.in_doubt ? of_kind.Milder() : of_kind;
    std::string label = RuleLabel(each.rule);
    if (rule.Quiet(each.usage()) || !told.insert(label).second) continue;
    std::vector<AlertFact> facts = FactsOf(source.figures);
    facts.insert(facts.end(), {{"limit", static_cast<double>(each.connections)},
                               {"counted", static_cast<double>(each.counted)},
                               {"origin", NameOf(each.origin)}});
    std::string description = fmt::format(
        "{} has {} of the {} connections ({}) that it may have by {}{}.", source.name, each.counted, each.connections,
        Percent(each.usage()), each.rule.empty() ? NameOf(each.origin) : "the rule " + label,
        each.approximate ? " (at most; what the rule counts is not fully known)" : "");
    into.push_back({{AlertKind::kSourceNearConnectionLimit, source.name, std::move(label)},
                    each.usage(),
                    std::move(description),
                    std::move(facts),
                    StandingOf(source.figures),
                    rule});
  }
}

nlohmann::json SourceJudge::Save() const {
  auto saved = nlohmann::json::object();
  for (const auto& [name, followed] : followed_) {
    if (followed.rate.known()) saved[name] = followed.rate.Save(60);
  }
  return saved;
}

std::string SourceJudge::Restore(const nlohmann::json& saved) {
  if (!saved.is_object() || saved.size() > kFollowedMax) return "the sources' past rates are no such list";
  std::map<std::string, Followed> followed;
  for (const auto& [name, rates] : saved.items()) {
    if (!Prefix::Parse(name) || !followed[name].rate.Restore(rates))
      return "the past rates of a source are not readable";
  }
  followed_ = std::move(followed);
  restored_ = just_restored_ = true;
  return {};
}

std::size_t SourceJudge::bytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, followed] : followed_) bytes += followed.rate.bytes() + name.size() + 64;
  return bytes;
}

}  // namespace conntally
