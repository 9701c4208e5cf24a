#include "daemon/alerts/judges/judge_answers.h"

#include <cmath>

namespace conntally {
namespace {

std::string LeadersOf(const std::vector<AlertEvidence::Attempts::Leader>& leaders) {
  std::vector<std::pair<std::int64_t, std::string>> counted;
  for (const auto& leader : leaders) counted.emplace_back(leader.count, leader.name);
  return FirstOf(std::move(counted), 5);
}

}  // namespace

void AnswersJudge::Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  if (!evidence.answers || !evidence.ready) return;
  if (evidence.answers != last_) services_.Follow(evidence.answers->services, evidence.now);
  last_ = evidence.answers;
  ReadUnanswered(rules, evidence, into);
  ReadHalfOpen(rules, evidence, into);
}

// The usual share of failures, if the present one is far above it, and so are the attempts that fail: where most are
// silent, as at night, those that always fail are many of those that are left.
std::optional<double> AnswersJudge::UsualOfUnusual(Population& past, SteadyTime now, std::uint64_t failed,
                                                   std::uint64_t all, std::uint64_t failed_attempts,
                                                   std::uint64_t least) {
  if (all < least) return std::nullopt;
  const double share = static_cast<double>(failed) / static_cast<double>(all);
  const double usual = past.share.Median();
  const double many = static_cast<double>(least) + kTimesUsual * past.failed.High();
  const bool unusual = past.share.known() && share >= usual + ServiceOutages::kRise && failed >= least &&
                       static_cast<double>(failed_attempts) >= many;
  past.share.Add(now, share, unusual);
  past.failed.Add(now, static_cast<double>(failed_attempts), unusual);
  return unusual ? std::optional(usual) : std::nullopt;
}

// How far it fails, with text: of all proven sources, of those of one family, and of this host's own connections.
double AnswersJudge::ReadShares(const AlertRule& rule, const AlertEvidence& evidence, std::string& text) {
  const auto& attempts = evidence.attempts;
  const auto& critical = rule.tiers[static_cast<std::size_t>(Severity::kCritical)];
  const double most = critical ? critical->threshold * 0.99 : 1;
  const auto share = [](std::uint64_t failed, std::uint64_t all) {
    return static_cast<double>(failed) / static_cast<double>(all);
  };
  double value = 0;
  if (const auto usual = UsualOfUnusual(all_, evidence.now, attempts.proven_unanswered, attempts.proven_sources,
                                        attempts.proven_failed, kProvenMin)) {
    value = share(attempts.proven_unanswered, attempts.proven_sources);
    if (attempts.proven_unanswered >= kManySources) value = std::max(value, rule.least_threshold());
    text = fmt::format("{} of the {} proven sources that recently tried to connect mostly got no answer; usual are {}.",
                       attempts.proven_unanswered, attempts.proven_sources, Percent(*usual));
  }
  const std::uint64_t ipv4 = attempts.proven_sources - attempts.proven_ipv6_sources;
  const std::uint64_t ipv4_unanswered = attempts.proven_unanswered - attempts.proven_ipv6_unanswered;
  const std::uint64_t ipv4_failed = attempts.proven_failed - attempts.proven_ipv6_failed;
  for (const auto& [past, failed, all, failed_attempts, name] :
       {std::tuple(&ipv4_, ipv4_unanswered, ipv4, ipv4_failed, "IPv4"),
        std::tuple(&ipv6_, attempts.proven_ipv6_unanswered, attempts.proven_ipv6_sources, attempts.proven_ipv6_failed,
                   "IPv6")}) {
    const auto usual = UsualOfUnusual(*past, evidence.now, failed, all, failed_attempts, kProvenMin);
    if (!usual || !rule.Quiet(value)) continue;
    value = std::min(share(failed, all), most);
    text =
        fmt::format("{} of the {} proven {} sources that recently tried to connect mostly got no answer; usual are {}.",
                    failed, all, name, Percent(*usual));
  }
  const auto answers = static_cast<double>(attempts.own - attempts.own_unanswered);
  const bool fewer = AreFewer(answers, own_answers_.Median());
  const auto usual =
      UsualOfUnusual(own_, evidence.now, attempts.own_unanswered, attempts.own, attempts.own_unanswered, kOwnMin);
  own_answers_.Add(evidence.now, answers, usual.has_value());
  if (usual && fewer) {
    const double failing = share(attempts.own_unanswered, attempts.own);
    const bool most_of_all =
        static_cast<double>(attempts.own) >= ServiceOutages::kMost * static_cast<double>(evidence.answers->attempts);
    value = std::max(value, most_of_all ? failing : std::min(failing, most));
    text += fmt::format("{}{} of this host's own {} TCP attempts were not answered; usual are {}.",
                        text.empty() ? "" : " ", attempts.own_unanswered, attempts.own, Percent(*usual));
  }
  if (!text.empty())
    text += fmt::format(" {} of {} TCP attempts were not answered. Most of them by: {}.", evidence.answers->unanswered,
                        evidence.answers->attempts, LeadersOf(attempts.unanswered_leaders));
  return value;
}

void AnswersJudge::ReadUnanswered(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  const auto& attempts = evidence.attempts;
  const AlertRule& rule = rules[AlertKind::kConnectionsUnanswered];
  std::string text;
  double value = ReadShares(rule, evidence, text);
  const auto& broken_services = services_.broken();
  double part = 0;
  for (const ServiceOutages::Broken& broken : broken_services) part += broken.part;
  for (const ServiceOutages::Broken& broken : broken_services) {
    double of_service = broken.failed() / broken.attempts();
    const auto& critical = rule.tiers[static_cast<std::size_t>(Severity::kCritical)];
    // Services that are asked less than most others are no reason to get up.
    if (part < ServiceOutages::kMost && critical) of_service = std::min(of_service, critical->threshold * 0.99);
    value = std::max(value, of_service);
  }
  if (rule.Quiet(value)) return;
  unanswered_until_ = evidence.now + kUnansweredKept;
  std::string services;
  for (std::size_t i = 0; i < broken_services.size() && i < 3; ++i) {
    const ServiceOutages::Broken& broken = broken_services[i];
    services +=
        fmt::format("{}{} ({} of {} attempts by about {} sources{}; usual are {})", i == 0 ? "" : ", ", broken.name,
                    broken.failed(), broken.attempts(), broken.now.sources,
                    broken.now.refused > broken.now.unanswered ? ", refused by RST" : "", Percent(broken.past_share));
  }
  if (!services.empty())
    text += fmt::format("{}Services that used to answer and do not: {}{}.", text.empty() ? "" : " ", services,
                        broken_services.size() > 3 ? fmt::format(", and {} more", broken_services.size() - 3) : "");
  into.push_back({{AlertKind::kConnectionsUnanswered, {}, {}},
                  value,
                  std::move(text),
                  {{"proven_sources", static_cast<double>(attempts.proven_sources)},
                   {"proven_sources_unanswered", static_cast<double>(attempts.proven_unanswered)},
                   {"past_share", all_.share.Median()},
                   {"services", services}}});
}

void AnswersJudge::ReadHalfOpen(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  const auto& attempts = evidence.attempts;
  const std::uint64_t without_row = evidence.answers->half_open_without_row;
  const auto half_open = static_cast<double>(attempts.half_open + without_row);
  if (began_ == SteadyTime{}) began_ = evidence.now;
  if (evidence.now - began_ <= kStart) half_open_at_start_ = std::max(half_open_at_start_, half_open);
  const double usual = std::max({half_open_.High(), half_open_.known() ? 0 : half_open_at_start_, kHalfOpenUsual});
  const double unanswered = evidence.now < unanswered_until_ ? attempts_.High() * kRetriesMost : 0;
  const double times = std::max(half_open - unanswered, 0.0) / usual;
  const AlertRule& rule = rules[AlertKind::kHalfOpenFlood];
  const std::uint64_t sources = attempts.half_open_sources + without_row;
  const bool many = sources >= kHalfOpenSourcesMin || (sources >= kHalfOpenFewMin && half_open >= kHalfOpenOfFewMin);
  const bool unusual = unanswered > 0 || (many && rule.Past(times, rule.least_threshold()));
  half_open_.Add(evidence.now, half_open, unusual);
  attempts_.Add(evidence.now, static_cast<double>(evidence.answers->attempts), unusual);
  if (!many || rule.Quiet(times)) return;
  into.push_back(
      {{AlertKind::kHalfOpenFlood, {}, {}},
       times,
       fmt::format("{:.0f} connections of {} or more sources that proved nothing have been half open for over "
                   "3 s; usual here are {:.0f} or fewer. Most of them by: {}.",
                   half_open, attempts.half_open_sources, usual, LeadersOf(attempts.half_open_leaders)),
       {{"half_open", half_open}, {"sources", static_cast<double>(attempts.half_open_sources)}, {"usual", usual}}});
}

nlohmann::json AnswersJudge::Save() const {
  nlohmann::json saved = {{"services", services_.Save()}};
  for (const auto& [name, past] : Pasts()) saved[name] = past->Save();
  return saved;
}

std::string AnswersJudge::Restore(const nlohmann::json& saved) {
  if (!saved.is_object()) return "what was answered is no such list";
  ServiceOutages services;
  if (std::string why = services.Restore(saved.value("services", nlohmann::json())); !why.empty()) return why;
  for (const auto& [name, past] : Pasts()) {
    if (!past->Restore(saved.value(name, nlohmann::json::array())))
      return "the past of what is answered is not readable";
  }
  services_ = std::move(services);
  return {};
}

std::size_t AnswersJudge::bytes() const {
  std::size_t bytes = services_.bytes();
  for (const auto& [name, past] : Pasts()) bytes += past->bytes();
  return bytes;
}

}  // namespace conntally
