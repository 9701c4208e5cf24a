#include "daemon/alerts/own_destinations.h"

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

std::string NameOf(const AlertEvidence::OwnDrop& drop) {
  const char* protocol = drop.protocol == 6 ? "TCP" : drop.protocol == 17 ? "UDP" : "SCTP";
  return fmt::format("{} {} port {}", drop.destination.ToString(), protocol, drop.port);
}

}  // namespace

void OwnDestinations::NoteAnswers(const AlertEvidence& evidence) {
  if (!evidence.answers) return;
  const std::int64_t minute = std::chrono::floor<std::chrono::minutes>(evidence.now.time_since_epoch()).count();
  for (const auto& service : evidence.answers->services) {
    if (service.attempts == service.unanswered) continue;
    Known& known = known_[{service.destination, service.protocol, service.port}];
    known.answered = evidence.now;
    if (std::exchange(known.minute, minute) != minute) ++known.minutes;
  }
  std::erase_if(known_, [&](const auto& entry) { return evidence.now - entry.second.answered > kForgottenAfter; });
  while (known_.size() > kMax) {
    ++turned_away_;
    known_.erase(std::min_element(known_.begin(), known_.end(), [](const auto& one, const auto& other) {
      return one.second.answered < other.second.answered;
    }));
  }
}

std::vector<OwnDestinations::CutOff> OwnDestinations::Follow(const AlertEvidence& evidence) {
  NoteAnswers(evidence);
  std::map<Key, std::uint64_t> dropped;  // in all
  for (const auto& drop : evidence.own_drops) dropped[{drop.destination, drop.protocol, drop.port}] += drop.packets;
  std::vector<CutOff> cut_off;
  for (const auto& drop : evidence.own_drops) {
    const Key key{drop.destination, drop.protocol, drop.port};
    const auto found = known_.find(key);
    if (found == known_.end()) continue;
    Known& known = found->second;
    const std::uint64_t packets = dropped[key];
    if (known.answered == evidence.now || packets < known.packets) {
      known.packets = packets;
      known.onset = {};
    }
    const std::uint64_t lost = packets - known.packets;
    if (lost == 0) continue;
    if (known.onset == SteadyTime{}) known.onset = drop.last;
    const bool lasts = drop.last - known.onset >= kDroppedFor && evidence.now - drop.last <= kJustNow;
    if (known.minutes < kRegularMinutes || lost < kLostMin || !lasts) continue;
    cut_off.push_back({RuleLabel(drop.rule), drop.source, NameOf(drop), lost});
  }
  return cut_off;
}

}  // namespace conntally
