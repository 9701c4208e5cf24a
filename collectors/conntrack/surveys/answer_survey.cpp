#include "collectors/conntrack/surveys/answer_survey.h"

#include <netinet/in.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <utility>

namespace conntally {
namespace {

bool IsTcpOrUdp(std::uint8_t protocol) { return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP; }

void BumpSaturating(std::uint16_t& counter) { counter = static_cast<std::uint16_t>(counter + (counter != UINT16_MAX)); }

// Linear counting.
template <std::size_t kBits>
std::uint32_t Distinct(const std::bitset<kBits>& seen) {
  const auto zero = static_cast<double>(std::max<std::size_t>(kBits - seen.count(), 1));
  return static_cast<std::uint32_t>(std::lround(kBits * std::log(kBits / zero)));
}

std::uint32_t Mixed(std::uint32_t value) {
  value = (value + 1) * 0x9e3779b1U;
  value = (value ^ value >> 15) * 0x85ebca77U;
  return value ^ value >> 13;
}

// On the tracker's clock, which wraps.
bool Later(std::int32_t one, std::int32_t other) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(one) - static_cast<std::uint32_t>(other)) > 0;
}

TcpState TcpStateOf(const Flow& flow) { return static_cast<TcpState>(flow.tcp_state); }

}  // namespace

std::size_t AnswerSurvey::Hash::operator()(const ServiceKey& key) const {
  std::array<std::uint8_t, 19> bytes;
  std::copy(key.destination.bytes.begin(), key.destination.bytes.end(), bytes.begin());
  std::memcpy(&bytes[16], &key.port, sizeof key.port);
  bytes[18] = key.protocol;
  return keyed(std::as_bytes(std::span(bytes)));
}

std::shared_ptr<const AnswerFigures> AnswerSurvey::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

bool AnswerSurvey::Step(const FlowTable& flows, TrackerTime tracked, Clock::time_point now) {
  if (figures_ == nullptr) {
    if (!pace_.due(now, kRestFactor, flows)) return false;
    Begin(flows, tracked);
  }
  return !pace_.Step(
      now,
      [&](std::size_t partition) {
        flows.Visit(partition, [this](const FlowKey& key, const Flow& flow) { Count(key, flow); });
      },
      [this] { Publish(); });
}

void AnswerSurvey::Begin(const FlowTable& flows, TrackerTime tracked) {
  figures_ = std::make_shared<AnswerFigures>();
  tracked_ = tracked;
  if (!started_) started_ = tracked;
  pace_.Begin(flows);
  failing_ = SpaceSaving<char>(kFailingMax, hash_);
  if (SecondsSince(refused_since_.centiseconds, tracked) < kContactAge) return;
  refused_ = SpaceSaving<char>(kFailingMax, hash_);
  refused_since_ = tracked;
}

void AnswerSurvey::Count(const FlowKey& key, const Flow& flow) {
  const double age = flow.opening_known ? SecondsSince(flow.opened_centiseconds, tracked_) : kContactAge;
  if (age < kAnswerWait) return;
  const bool tcp = flow.protocol == IPPROTO_TCP;
  const TcpState state = TcpStateOf(flow);
  const bool unanswered = tcp ? state == TcpState::kSynSent : !flow.replied;
  const bool attempt = flow.opening_known && age <= kAttemptAge;
  const bool half_open = state == TcpState::kSynSent || state == TcpState::kSynRecv;
  if (tcp && attempt) CountRow(flow, unanswered, half_open, age);
  if (!IsTcpOrUdp(flow.protocol)) return;
  if (attempt) CountService(key, flow, unanswered, age);
  if (IsStream(flow)) return NoteContact(key, Outcome::kStream, tracked_.centiseconds);
  if (age <= kContactAge) CountContact(key, flow, age);
}

bool AnswerSurvey::IsStream(const Flow& flow) const {
  return flow.protocol == IPPROTO_UDP && !flow.replied && flow.opening_known && older_goes_on_ &&
         Later(*older_goes_on_, flow.opened_centiseconds);
}

bool AnswerSurvey::Starts(TrackerTime tracked) const {
  return !started_ || SecondsSince(started_->centiseconds, tracked) < kStart;
}

void AnswerSurvey::CountRow(const Flow& flow, bool unanswered, bool half_open, double age) {
  ++figures_->attempts;
  figures_->unanswered += unanswered;
  if (flow.source == kNoSourceRow) {
    figures_->half_open_without_row += half_open;
    return;
  }
  if (flow.source >= figures_->rows.size()) figures_->rows.resize(std::size_t{flow.source} + 1);
  AnswerFigures::OfSource& row = figures_->rows[flow.source];
  BumpSaturating(row.attempts);
  if (unanswered) BumpSaturating(row.unanswered);
  if (half_open) BumpSaturating(row.half_open);
  static_assert(kAttemptAge * 10 < AnswerFigures::OfSource::kNever);
  std::uint8_t& latest = unanswered ? row.unanswered_age : row.answered_age;
  latest = std::min(latest, static_cast<std::uint8_t>(age * 10));
}

void AnswerSurvey::CountService(const FlowKey& key, const Flow& flow, bool unanswered, double age) {
  const ServiceKey service{{key.destination, key.family}, key.destination_port, key.protocol};
  auto found = services_.find(service);
  if (found == services_.end()) {
    if (services_.size() >= kServicesMax) return;
    found = services_.emplace(service, OfService{}).first;
  }
  OfService& counted = found->second;
  ++counted.attempts;
  counted.unanswered += unanswered;
  if (age <= kRecentAttemptAge) {
    ++counted.recent;
    counted.recent_unanswered += unanswered;
  }
  counted.sources.set(Mixed(flow.source) % 64);
}

void AnswerSurvey::CountRefusals() {
  constexpr double kWindow = kAttemptAge - kAnswerWait;
  const double seconds = std::max(SecondsSince(refusals_before_since_.centiseconds, tracked_), kRefusedFor / 2);
  const auto count = [&](const RefusalsByService& half) {
    for (const auto& [key, refusals] : half) {
      OfService& service = services_[key];
      service.refused += static_cast<std::uint32_t>(std::lround(refusals.count * kWindow / seconds));
      service.sources |= refusals.sources;
      service.used_centiseconds = tracked_.centiseconds;
    }
  };
  count(refusals_);
  count(refusals_before_);
  if (SecondsSince(refusals_since_.centiseconds, tracked_) < kRefusedFor / 2) return;
  refusals_before_.swap(refusals_);
  refusals_.clear();
  refusals_before_since_ = std::exchange(refusals_since_, tracked_);
}

void AnswerSurvey::CountContact(const FlowKey& key, const Flow& flow, double age) {
  const bool tcp = flow.protocol == IPPROTO_TCP;
  const TcpState state = TcpStateOf(flow);
  if (tcp && state == TcpState::kSynRecv) return;  // not decided
  // What an RST closed after a SYN/ACK was answered; what it refused at once is no entry any more.
  const bool failed = tcp ? state == TcpState::kSynSent || (state == TcpState::kClose && !flow.replied) : !flow.replied;
  if (failed) failing_.Add(grouping_.GroupOf(key.SourceAddress()), 1);
  NoteContact(key, failed ? Outcome::kFailed : Outcome::kSucceeded, SecondsBefore(age, tracked_));
}

void AnswerSurvey::NoteRefused(const FlowTracker::Refused& refused, TrackerTime tracked) {
  const FlowKey& key = refused.key;
  const double age = SecondsSince(refused.opened_centiseconds, tracked);
  if (age > kContactAge) return;
  refused_.Add(grouping_.GroupOf(key.SourceAddress()), 1);
  NoteContact(key, Outcome::kFailed, refused.opened_centiseconds);
  const ServiceKey service{{key.destination, key.family}, key.destination_port, key.protocol};
  const bool known = services_.contains(service) || (Starts(tracked) && refusals_.size() < kServicesKept);
  if (age > kAnswerWait || !known) return;
  Refusals& refusals = refusals_[service];
  ++refusals.count;
  refusals.sources.set(Mixed(refused.source) % 64);
}

void AnswerSurvey::NoteContact(const FlowKey& key, Outcome outcome, std::int32_t made_centiseconds) {
  const auto candidate = candidates_.find(grouping_.GroupOf(key.SourceAddress()));
  if (candidate == candidates_.end()) return;
  const IpAddress destination{key.destination, key.family};
  Contacts& contacts = candidate->second;
  const std::uint64_t hash = services_.hash_function()({destination, key.destination_port, key.protocol});
  const auto known = contacts.find(hash);
  if (known == contacts.end()) {
    if (contacts.size() < kContactsMax)
      contacts.emplace(hash, Contact{made_centiseconds, outcome, key.protocol == IPPROTO_UDP, key.destination_port,
                                     candidates_.hash_function()(destination)});
    return;
  }
  Contact& contact = known->second;
  contact.outcome = std::max(contact.outcome, outcome);
  if (Later(made_centiseconds, contact.made_centiseconds)) contact.made_centiseconds = made_centiseconds;
}

AnswerFigures::Candidate AnswerSurvey::Describe(const IpAddress& source, Contacts& contacts) const {
  std::erase_if(contacts, [&](const auto& contact) {
    return SecondsSince(contact.second.made_centiseconds, tracked_) > kContactAge;
  });
  struct UdpPorts {
    std::size_t failed = 0;
    std::size_t others = 0;  // that a stream goes to, or that answer
    bool scanned() const { return failed >= kUdpPortsMin && others * kStreamPart < failed; }
  };
  std::unordered_map<std::uint64_t, UdpPorts> udp;  // by destination
  for (const auto& [hash, contact] : contacts) {
    if (!contact.udp) continue;
    UdpPorts& ports = udp[contact.destination];
    ports.others += contact.outcome != Outcome::kFailed;
    ports.failed += contact.outcome == Outcome::kFailed && contact.port < kTracePortMin;
  }
  AnswerFigures::Candidate described;
  described.source = source;
  std::unordered_map<std::uint16_t, std::pair<std::uint32_t, std::uint32_t>> tcp_ports;  // failed, succeeded
  std::bitset<1024> destinations, ports;
  for (const auto& [hash, contact] : contacts) {
    if (contact.outcome == Outcome::kStream) continue;
    const bool succeeded = contact.outcome == Outcome::kSucceeded;
    if (!contact.udp) ++(succeeded ? tcp_ports[contact.port].second : tcp_ports[contact.port].first);
    if (succeeded) {
      ++described.succeeded;
      continue;
    }
    if (contact.udp && (contact.port >= kTracePortMin || !udp.at(contact.destination).scanned())) continue;
    ++described.failed;
    described.recent += SecondsSince(contact.made_centiseconds, tracked_) <= kRecentAge;
    destinations.set(contact.destination % destinations.size());
    ports.set(Mixed(contact.port) % ports.size());
  }
  for (const auto& [port, count] : tcp_ports) {
    if (count.first <= described.failed_at_port) continue;
    described.port = port;
    std::tie(described.failed_at_port, described.succeeded_at_port) = count;
  }
  described.destinations = Distinct(destinations);
  described.ports = Distinct(ports);
  return described;
}

// Chooses the candidates of the survey that ended; an earlier candidate stays while it has contacts that are no
// streams.
void AnswerSurvey::ChooseCandidates() {
  std::erase_if(candidates_, [](const auto& candidate) {
    return std::ranges::all_of(candidate.second,
                               [](const auto& contact) { return contact.second.outcome == Outcome::kStream; });
  });
  std::vector<std::pair<std::uint64_t, IpAddress>> most;
  const auto consider = [&](const auto& entry) {
    if (entry.certain() >= kFailingMin && !candidates_.contains(entry.source))
      most.emplace_back(entry.certain(), entry.source);
  };
  failing_.ForEach(consider);
  refused_.ForEach(consider);
  std::sort(most.begin(), most.end(), std::greater{});
  for (const auto& [connections, source] : most) {
    if (candidates_.size() >= kCandidatesMax) {
      const auto least = std::min_element(candidates_.begin(), candidates_.end(), [](const auto& a, const auto& b) {
        return a.second.size() < b.second.size();
      });
      if (least == candidates_.end() || least->second.size() * 2 > connections) break;
      candidates_.erase(IpAddress(least->first));
    }
    candidates_.try_emplace(source);
  }
}

void AnswerSurvey::Publish() {
  CountRefusals();
  for (const auto& [key, service] : services_) {
    if (service.attempts + service.refused == 0) continue;
    figures_->services.push_back({key.destination, key.port, key.protocol, service.attempts, service.unanswered,
                                  service.refused, Distinct(service.sources), service.recent,
                                  service.recent_unanswered});
  }
  auto& services = figures_->services;
  std::sort(services.begin(), services.end(),
            [](const auto& a, const auto& b) { return a.attempts + a.refused > b.attempts + b.refused; });
  if (services.size() > kServicesKept) services.resize(kServicesKept);
  // The most used services keep their places in the next survey, whatever a flood targets; then those used lately.
  const auto before = std::exchange(services_, decltype(services_){0, Hash{hash_}});
  const auto keep = [this](const ServiceKey& key, std::int32_t used_centiseconds) {
    services_[key].used_centiseconds = used_centiseconds;
  };
  for (const auto& service : services)
    keep({service.destination, service.port, service.protocol}, tracked_.centiseconds);
  for (const auto& [key, service] : before) {
    if (services_.size() >= kServicesKept) break;
    if (service.attempts + service.refused == 0 && SecondsSince(service.used_centiseconds, tracked_) < kServiceKept)
      keep(key, service.used_centiseconds);
  }
  for (auto& [source, contacts] : candidates_) figures_->candidates.push_back(Describe(source, contacts));
  ChooseCandidates();
  std::shared_ptr<const AnswerFigures> previous = std::move(figures_);
  const std::lock_guard lock(mutex_);
  std::swap(last_, previous);
}

}  // namespace conntally
