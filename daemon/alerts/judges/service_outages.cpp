#include "daemon/alerts/judges/service_outages.h"

#include <algorithm>
#include <utility>

#include "collectors/addresses/ranges.h"
#include "daemon/alerts/evidence/baseline.h"
#include "daemon/alerts/evidence/judge.h"

namespace conntally {
namespace {

constexpr std::uint8_t kNetworkBitsIpv4 = 24, kNetworkBitsIpv6 = 64;

Prefix PrefixOf(const IpAddress& address) {
  const bool ipv4 = address.family == Family::kIpv4;
  return {address, ipv4 ? kNetworkBitsIpv4 : kNetworkBitsIpv6};
}
IpAddress NetworkOf(const IpAddress& address) { return RangeOf(PrefixOf(address)).first; }

// One without a port is a network.
std::string NameOfService(const AnswerFigures::Service& service) {
  const char* protocol = service.protocol == 6 ? "TCP" : "UDP";
  if (service.port != 0) return fmt::format("{} {} port {}", service.destination.ToString(), protocol, service.port);
  return fmt::format("the network {}/{} over {}", service.destination.ToString(), PrefixOf(service.destination).length,
                     protocol);
}

// Whether most of the latest attempts are answered again.
bool Recovers(const AnswerFigures::Service& service, double share) {
  constexpr std::uint32_t kRecentMin = 3;
  return service.unanswered >= service.refused && service.recent >= kRecentMin &&
         service.recent_unanswered < share * service.recent;
}

}  // namespace

std::vector<AnswerFigures::Service> ServiceOutages::NetworksOf(
    const std::vector<AnswerFigures::Service>& services) const {
  std::map<std::pair<IpAddress, std::uint8_t>, std::pair<AnswerFigures::Service, int>> networks;
  for (const auto& service : services) {
    const auto known = services_.find({service.destination, service.port, service.protocol});
    if (known == services_.end() || known->second.answered <= 0) continue;
    const IpAddress network = NetworkOf(service.destination);
    auto& [sum, parts] = networks[{network, service.protocol}];
    sum.destination = network;
    sum.protocol = service.protocol;
    sum.attempts += service.attempts;
    sum.unanswered += service.unanswered;
    sum.refused += service.refused;
    sum.recent += service.recent;
    sum.recent_unanswered += service.recent_unanswered;
    sum.sources = std::max(sum.sources, service.sources);
    ++parts;
  }
  std::vector<AnswerFigures::Service> sums;
  for (const auto& [key, network] : networks) {
    if (network.second > 1) sums.push_back(network.first);
  }
  return sums;
}

void ServiceOutages::Follow(const std::vector<AnswerFigures::Service>& services, SteadyTime now) {
  Survey survey{now};
  const double elapsed = std::chrono::duration<double>(now - last_at_).count();
  survey.weight = last_at_ == SteadyTime{} ? 1 : 1 - std::exp(-elapsed / kSmoothed);
  last_at_ = now;
  if (std::exchange(just_restored_, false)) {
    for (auto& [key, service] : services_) service.last_seen = now;
  }
  for (const auto& service : services) survey.attempts += service.attempts + service.refused;
  broken_.clear();
  std::vector<Broken> minor;
  for (const auto& service : services) {
    if (service.port == 0) continue;  // the place of a network
    if (auto broken = FollowOne(service, survey)) (broken->important ? broken_ : minor).push_back(std::move(*broken));
  }
  double made_at_minor = 0;
  for (const Broken& each : minor) made_at_minor += each.attempts();
  if (minor.size() >= kManyServices && made_at_minor >= kMost * survey.made_where_answered)
    broken_.insert(broken_.end(), minor.begin(), minor.end());
  std::vector<Broken> networks;
  for (const auto& network : NetworksOf(services)) {
    auto broken = FollowOne(network, survey);
    const bool told = std::any_of(broken_.begin(), broken_.end(), [&](const Broken& each) {
      return each.now.protocol == network.protocol && NetworkOf(each.now.destination) == network.destination;
    });
    if (broken && broken->important && !told) networks.push_back(std::move(*broken));
  }
  broken_.insert(broken_.end(), networks.begin(), networks.end());
  std::erase_if(services_, [&](const auto& entry) { return now - entry.second.last_seen > kForgottenAfter; });
  if (services_.size() < kMax) return;
  // Makes room: drops services that are rarely used, and not now.
  std::erase_if(services_, [&](const auto& entry) {
    return entry.second.last_seen != now && entry.second.part < kImportant && entry.second.sources < kSourcesMin;
  });
}

// The service if it is broken.
std::optional<ServiceOutages::Broken> ServiceOutages::FollowOne(const AnswerFigures::Service& now, Survey& survey) {
  const SteadyTime when = survey.when;
  const Key key{now.destination, now.port, now.protocol};
  auto found = services_.find(key);
  if (found == services_.end()) {
    if (services_.size() >= kMax) return std::nullopt;
    found = services_.emplace(key, Service{}).first;
    found->second.first_seen = when;
  }
  Service& service = found->second;
  const double made = now.attempts + now.refused;
  const double failed = now.unanswered + now.refused;
  const double share = failed / made;
  const bool answered =
      service.answered >= kAnsweredMin && when - service.first_seen >= kPastMin && service.share <= kAnsweredOnce;
  if (answered) survey.made_where_answered += made;
  const bool failing = answered && share >= service.share + kRise;
  std::optional<Broken> broken;
  if (failing && (service.broke || 2 * failed >= kAttemptsMin)) {
    if (!service.broke) service.broke = when;
    const bool restarts = now.refused > now.unanswered && when - *service.broke < kRefusedFor;
    const bool important =
        made >= kAttemptsMin && ((service.part >= kImportant && made >= kImportant * survey.attempts) ||
                                 (service.sources >= kSourcesMin && now.sources >= kSourcesMin));
    if (!restarts && AreFewer(made - failed, service.answers) && !Recovers(now, service.share + kRise))
      broken = {NameOfService(now), now, service.share, made / survey.attempts, important};
    service.last_seen = when;
    if (when - *service.broke < Baseline::kUnusualMax) return broken;  // its past stays unchanged
  }
  service.broke.reset();
  const double weight = service.last_seen == SteadyTime{} ? 1 : survey.weight;
  service.share += weight * (share - service.share);
  service.part += weight * (made / survey.attempts - service.part);
  service.sources += weight * (now.sources - service.sources);
  service.answers += weight * (made - failed - service.answers);
  service.answered = std::min(service.answered + (made - failed) * survey.weight, 1e6);
  if (service.last_seen == SteadyTime{}) service.answered = made - failed;
  service.last_seen = when;
  return broken;
}

nlohmann::json ServiceOutages::Save() const {
  auto saved = nlohmann::json::array();
  for (const auto& [key, service] : services_) {
    if (service.answered <= 0) continue;
    saved.push_back({std::get<0>(key).ToString(), std::get<1>(key), std::get<2>(key), service.answered, service.share,
                     service.part, service.sources, service.answers});
  }
  return saved;
}

std::string ServiceOutages::Restore(const nlohmann::json& saved) {
  if (!saved.is_array() || saved.size() > kMax) return "what services answered is no such list";
  std::map<Key, Service> services;
  for (const auto& each : saved) {
    const auto number = [&](std::size_t at, double most) {
      return each[at].is_number() && each[at].get<double>() >= 0 && each[at].get<double>() <= most;
    };
    if (!each.is_array() || each.size() != 8 || !each[0].is_string() || !number(1, 65535) || !number(2, 255) ||
        !number(3, 1e6) || !number(4, 1) || !number(5, 1) || !number(6, 1e6) || !number(7, 1e9))
      return "what a service answered is not readable";
    const auto address = IpAddress::Parse(each[0].get<std::string>());
    if (!address) return "the address of a service is none";
    Service& service = services[{*address, each[1].get<std::uint16_t>(), each[2].get<std::uint8_t>()}];
    service.answered = each[3].get<double>();
    service.share = each[4].get<double>();
    service.part = each[5].get<double>();
    service.sources = each[6].get<double>();
    service.answers = each[7].get<double>();
  }
  services_ = std::move(services);
  just_restored_ = true;
  return {};
}

}  // namespace conntally
