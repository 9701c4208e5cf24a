#include "daemon/alerts/drop_judges/own_destinations.h"

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
  struct Dropped {
    std::uint64_t packets = 0;  // in all
    SteadyTime last{};
    const AlertEvidence::OwnDrop* most = nullptr;  // by one rule; a known rule comes before an unknown one
  };
  std::map<Key, Dropped> dropped;
  for (const auto& drop : evidence.own_drops) {
    Dropped& all = dropped[{drop.destination, drop.protocol, drop.port}];
    all.packets += drop.packets;
    all.last = std::max(all.last, drop.last);
    const auto weight = [](const auto& each) { return std::pair(!each.rule.empty(), each.packets); };
    if (all.most == nullptr || weight(*all.most) < weight(drop)) all.most = &drop;
  }
  std::vector<CutOff> cut_off;
  for (const auto& [key, drop] : dropped) {
    const auto found = known_.find(key);
    if (found == known_.end()) continue;
    Known& known = found->second;
    const std::uint64_t packets = drop.packets;
    if (known.answered == evidence.now || packets < known.packets) {
      known.packets = packets;
      known.onset = {};
    }
    const std::uint64_t lost = packets - known.packets;
    if (lost == 0) continue;
    if (known.onset == SteadyTime{}) known.onset = drop.last;
    const bool lasts = drop.last - known.onset >= kDroppedFor && evidence.now - drop.last <= kJustNow;
    if (known.minutes < kRegularMinutes || lost < kLostMin || !lasts) continue;
    cut_off.push_back({RuleLabel(drop.most->rule), drop.most->source, NameOf(*drop.most), lost});
  }
  return cut_off;
}

}  // namespace conntally
