// Decides which subjects of the readings are followed.
#include <algorithm>
#include <tuple>
#include <utility>

#include "daemon/alerts/engine/alert_engine.h"

namespace conntally {
AlertEngine::TrackedMap::iterator AlertEngine::FindVictim(const AlertRules& rules, const AlertReading& newcomer) {
  const AlertKind kind = newcomer.subject.kind;
  const double badness = RuleOf(rules, newcomer).Badness(newcomer.value);
  auto victim = tracked_.end();
  std::tuple<bool, bool, double> least;
  for (auto entry = tracked_.lower_bound({kind, {}, {}}); entry != tracked_.end() && entry->first.kind == kind;
       ++entry) {
    const AlertReading& reading = entry->second.reading;
    const bool forged = CanBeForged(reading.standing);
    const double its_badness = RuleOf(rules, reading).Badness(reading.value);
    const bool gives_way = forged != CanBeForged(newcomer.standing) ? forged : its_badness * kWorseBy <= badness;
    if (entry->second.told() || !gives_way) continue;
    const bool fires = std::any_of(entry->second.tiers.begin(), entry->second.tiers.end(),
                                   [](const Tier& tier) { return tier.state == AlertState::kFiring; });
    const std::tuple rank{!forged, fires, its_badness};
    if (victim == tracked_.end() || rank < least) {
      victim = entry;
      least = rank;
    }
  }
  return victim;
}

bool AlertEngine::MakeRoom(const AlertRules& rules, const AlertReading& newcomer) {
  const auto victim = FindVictim(rules, newcomer);
  if (victim == tracked_.end()) return false;
  for (const Severity severity : kWorstFirst) {
    if (victim->second.tier(severity).state == AlertState::kPending)
      Move(victim->second, severity, AlertState::kInactive);
  }
  --tracked_of_kind_[IndexOf(newcomer.subject.kind)];
  tracked_.erase(victim);
  return true;
}

// Subjects that cannot be forged first, then the worst, ties by subject.
void AlertEngine::Admit(const AlertRules& rules, std::vector<AlertReading> newcomers) {
  const auto rank = [&](const AlertReading& reading) {
    return std::tuple(CanBeForged(reading.standing), -RuleOf(rules, reading).Badness(reading.value));
  };
  std::sort(newcomers.begin(), newcomers.end(), [&](const AlertReading& one, const AlertReading& other) {
    const auto its = rank(one), others = rank(other);
    return its != others ? its < others : one.subject < other.subject;
  });
  std::set<AlertSubject> refused;
  std::array<bool, kAlertKinds> full_for{};
  for (AlertReading& reading : newcomers) {
    const AlertKind kind = reading.subject.kind;
    // If one newcomer finds no room, neither do those after it.
    bool& full = full_for[IndexOf(kind)];
    full = full || (tracked_of_kind_[IndexOf(kind)] >= kSubjectsMax && !MakeRoom(rules, reading));
    if (full) {
      if (!refused_.contains(reading.subject)) ++turned_away_;
      refused.insert(std::move(reading.subject));
      continue;
    }
    AlertSubject subject = reading.subject;
    Tracked tracked;
    tracked.reading = std::move(reading);
    tracked_.emplace(std::move(subject), std::move(tracked));
    ++tracked_of_kind_[IndexOf(kind)];
  }
  refused_ = std::move(refused);
}

// The value of each subject that is, or is now, followed; none of a blind kind.
std::map<AlertSubject, double> AlertEngine::TakeReadings(const AlertRules& rules, AlertReadings& readings) {
  std::map<AlertSubject, double> seen;
  std::vector<AlertReading> newcomers;
  for (AlertReading& reading : readings.readings) {
    const AlertRule& rule = RuleOf(rules, reading);
    if (readings.blind[IndexOf(reading.subject.kind)]) continue;
    const auto known = tracked_.find(reading.subject);
    if (known == tracked_.end() && !rule.Past(reading.value, rule.least_threshold())) continue;
    seen.emplace(reading.subject, reading.value);
    if (known == tracked_.end()) {
      newcomers.push_back(std::move(reading));
    } else {
      known->second.reading = std::move(reading);
    }
  }
  Admit(rules, std::move(newcomers));
  return seen;
}

}  // namespace conntally
