#include "daemon/alerts/judges/judge_answers.h"

#include <cmath>

namespace conntally {
namespace {

std::string NameOfService(const AnswerFigures::Service& service) {
  return fmt::format("{} {} port {}", service.destination.ToString(), service.protocol == 6 ? "TCP" : "UDP",
                     service.port);
}

// Whether answers have become fewer than usual, by more than chance explains.
bool AreFewer(double answers, double usual) {
  constexpr double kFewer = 0.6;
  return answers <= kFewer * usual && answers + 2 * std::sqrt(answers + 1) <= usual;
}

// Whether most of the latest attempts are answered again.
bool Recovers(const AnswerFigures::Service& service, double share) {
  constexpr std::uint32_t kRecentMin = 3;
  return service.unanswered >= service.refused && service.recent >= kRecentMin &&
         service.recent_unanswered < share * service.recent;
}

double AttemptsAt(const AnswerFigures::Service& service) { return service.attempts + service.refused; }
double FailedAt(const AnswerFigures::Service& service) { return service.unanswered + service.refused; }

std::string LeadersOf(const std::vector<AlertEvidence::Attempts::Leader>& leaders) {
  std::vector<std::pair<std::int64_t, std::string>> counted;
  for (const auto& leader : leaders) counted.emplace_back(leader.count, leader.name);
  return FirstOf(std::move(counted), 5);
}

}  // namespace

void AnswersJudge::Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  if (!evidence.answers || !evidence.ready) return;
  if (evidence.answers != last_) FollowServices(evidence);
  last_ = evidence.answers;
  ReadUnanswered(rules, evidence, into);
  ReadHalfOpen(rules, evidence, into);
}

void AnswersJudge::FollowServices(const AlertEvidence& evidence) {
  const double elapsed = std::chrono::duration<double>(evidence.now - last_at_).count();
  const double weight = last_at_ == SteadyTime{} ? 1 : 1 - std::exp(-elapsed / kSmoothed);
  last_at_ = evidence.now;
  if (std::exchange(just_restored_, false)) {
    for (auto& [key, service] : services_) service.last_seen = evidence.now;
  }
  double attempts = 0;
  for (const auto& service : evidence.answers->services) attempts += AttemptsAt(service);
  broken_.clear();
  std::vector<Broken> minor;
  double made_where_answered = 0;
  for (const auto& now : evidence.answers->services) {
    const ServiceKey key{now.destination, now.port, now.protocol};
    auto found = services_.find(key);
    if (found == services_.end()) {
      if (services_.size() >= kServicesMax) continue;
      found = services_.emplace(key, Service{}).first;
      found->second.first_seen = evidence.now;
    }
    Service& service = found->second;
    const double made = AttemptsAt(now);
    const double failed = FailedAt(now);
    const double share = failed / made;
    const bool answered = service.answered >= kAnsweredMin && evidence.now - service.first_seen >= kServicePastMin &&
                          service.share <= kAnsweredOnce;
    if (answered) made_where_answered += made;
    const bool failing = answered && share >= service.share + kRise;
    if (failing && (service.broke || 2 * failed >= kAttemptsMin)) {
      if (!service.broke) service.broke = evidence.now;
      const bool restarts = now.refused > now.unanswered && evidence.now - *service.broke < kRefusedFor;
      const bool important = made >= kAttemptsMin && ((service.part >= kImportant && made >= kImportant * attempts) ||
                                                      (service.sources >= kSourcesMin && now.sources >= kSourcesMin));
      if (!restarts && AreFewer(made - failed, service.answers) && !Recovers(now, service.share + kRise))
        (important ? broken_ : minor).push_back({NameOfService(now), now, service.share, made / attempts});
      service.last_seen = evidence.now;
      if (evidence.now - *service.broke < Baseline::kUnusualMax) continue;  // its past stays unchanged
    }
    service.broke.reset();
    const double own_weight = service.last_seen == SteadyTime{} ? 1 : weight;
    service.share += own_weight * (share - service.share);
    service.part += own_weight * (made / attempts - service.part);
    service.sources += own_weight * (now.sources - service.sources);
    service.answers += own_weight * (made - failed - service.answers);
    service.answered = std::min(service.answered + (made - failed) * weight, 1e6);
    if (service.last_seen == SteadyTime{}) service.answered = made - failed;
    service.last_seen = evidence.now;
  }
  double made_at_minor = 0;
  for (const Broken& each : minor) made_at_minor += AttemptsAt(each.now);
  if (minor.size() >= kManyServices && made_at_minor >= kMost * made_where_answered)
    broken_.insert(broken_.end(), minor.begin(), minor.end());
  std::erase_if(services_, [&](const auto& entry) { return evidence.now - entry.second.last_seen > kForgottenAfter; });
  if (services_.size() < kServicesMax) return;
  // Makes room: drops services that are rarely used, and not now.
  std::erase_if(services_, [&](const auto& entry) {
    return entry.second.last_seen != evidence.now && entry.second.part < kImportant &&
           entry.second.sources < kSourcesMin;
  });
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
  const bool unusual =
      past.share.known() && share >= usual + kRise && failed >= least && static_cast<double>(failed_attempts) >= many;
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
        static_cast<double>(attempts.own) >= kMost * static_cast<double>(evidence.answers->attempts);
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
  double part = 0;
  for (const Broken& broken : broken_) part += broken.part;
  for (const Broken& broken : broken_) {
    double of_service = FailedAt(broken.now) / AttemptsAt(broken.now);
    const auto& critical = rule.tiers[static_cast<std::size_t>(Severity::kCritical)];
    // Services that are asked less than most others are no reason to get up.
    if (part < kMost && critical) of_service = std::min(of_service, critical->threshold * 0.99);
    value = std::max(value, of_service);
  }
  if (rule.Quiet(value)) return;
  unanswered_until_ = evidence.now + kUnansweredKept;
  std::string services;
  for (std::size_t i = 0; i < broken_.size() && i < 3; ++i) {
    const Broken& broken = broken_[i];
    services +=
        fmt::format("{}{} ({} of {} attempts by about {} sources{}; usual are {})", i == 0 ? "" : ", ", broken.name,
                    FailedAt(broken.now), AttemptsAt(broken.now), broken.now.sources,
                    broken.now.refused > broken.now.unanswered ? ", refused by RST" : "", Percent(broken.past_share));
  }
  if (!services.empty())
    text += fmt::format("{}Services that used to answer and do not: {}{}.", text.empty() ? "" : " ", services,
                        broken_.size() > 3 ? fmt::format(", and {} more", broken_.size() - 3) : "");
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
  auto services = nlohmann::json::array();
  for (const auto& [key, service] : services_) {
    if (service.answered < kAnsweredMin) continue;
    services.push_back({std::get<0>(key).ToString(), std::get<1>(key), std::get<2>(key), service.answered,
                        service.share, service.part, service.sources, service.answers});
  }
  nlohmann::json saved = {{"services", services}};
  for (const auto& [name, past] : Pasts()) saved[name] = past->Save();
  return saved;
}

std::string AnswersJudge::Restore(const nlohmann::json& saved) {
  if (!saved.is_object() || !saved.contains("services") || !saved["services"].is_array() ||
      saved["services"].size() > kServicesMax)
    return "what services answered is no such list";
  std::map<ServiceKey, Service> services;
  for (const auto& each : saved["services"]) {
    const auto number = [&](std::size_t at, double most) {
      return each[at].is_number() && each[at].get<double>() >= 0 && each[at].get<double>() <= most;
    };
    if (!each.is_array() || each.size() != 8 || !each[0].is_string() || !number(1, 65535) || !number(2, 255) ||
        !number(3, 1e6) || !number(4, 1) || !number(5, 1) || !number(6, 1e6) || !number(7, 1e9))
      return "what a service answered is not readable";
    const auto address = IpAddress::Parse(each[0].get<std::string>());
    if (!address) return "the address of a service is none";
    services[{*address, each[1].get<std::uint16_t>(), each[2].get<std::uint8_t>()}] = {each[3].get<double>(),
                                                                                       each[4].get<double>(),
                                                                                       each[5].get<double>(),
                                                                                       each[6].get<double>(),
                                                                                       each[7].get<double>(),
                                                                                       {},
                                                                                       {},
                                                                                       {}};
  }
  for (const auto& [name, past] : Pasts()) {
    if (!past->Restore(saved.value(name, nlohmann::json::array())))
      return "the past of what is answered is not readable";
  }
  services_ = std::move(services);
  just_restored_ = true;
  return {};
}

std::size_t AnswersJudge::bytes() const {
  std::size_t bytes = services_.size() * (sizeof(ServiceKey) + sizeof(Service) + 48);
  for (const auto& [name, past] : Pasts()) bytes += past->bytes();
  return bytes;
}

}  // namespace conntally
