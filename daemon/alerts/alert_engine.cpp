#include "daemon/alerts/alert_engine.h"

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

constexpr std::array kBothSeverities = {Severity::kWarning, Severity::kCritical};

std::size_t IndexOf(AlertKind kind) { return static_cast<std::size_t>(kind); }
std::size_t IndexOf(Severity severity) { return static_cast<std::size_t>(severity); }

}  // namespace

Alert AlertEngine::Describe(const Tracked& tracked, Severity severity) {
  const Tier& tier = tracked.tiers[IndexOf(severity)];
  Alert alert;
  alert.subject = tracked.reading.subject;
  alert.severity = severity;
  alert.state = tier.state;
  alert.inhibited = severity == Severity::kWarning && tier.state == AlertState::kFiring &&
                    tracked.tiers[IndexOf(Severity::kCritical)].state == AlertState::kFiring;
  alert.since = tier.since;
  alert.fired = tier.fired;
  alert.for_at_least = tier.for_at_least;
  alert.value = tracked.reading.value;
  alert.threshold = tier.threshold;
  alert.description = tracked.reading.description;
  alert.evidence = tracked.reading.evidence;
  alert.degraded = tracked.degraded;
  if (!alert.degraded.empty()) alert.description += " The data is degraded: " + alert.degraded + ".";
  return alert;
}

void AlertEngine::Move(Tracked& tracked, Severity severity, AlertState to, Moment now) {
  Tier& tier = tracked.tiers[IndexOf(severity)];
  const AlertState from = tier.state;
  tier.state = to;
  tier.since = now.wall;
  tier.below = Duration{0};
  if (to == AlertState::kPending) tier.held = tier.lapsed = Duration{0};
  if (to == AlertState::kFiring) {
    tier.fired = now.wall;
    std::erase_if(resolved_, [&](const Resolved& resolved) {
      return resolved.alert.severity == severity && resolved.alert.subject == tracked.reading.subject;
    });
  }
  transitions_.push_back({Describe(tracked, severity), from});
  if (to == AlertState::kResolved) {
    resolved_.push_front({now.monotonic, transitions_.back().alert});
    if (resolved_.size() > kResolvedMax) resolved_.pop_back();
    tier.state = AlertState::kInactive;
  }
}

void AlertEngine::StepTier(Tracked& tracked, Severity severity, const AlertRule& rule, std::optional<double> value,
                           Duration step, Moment now) {
  Tier& tier = tracked.tiers[IndexOf(severity)];
  const std::optional<double> threshold = rule.thresholds[IndexOf(severity)];
  const bool past = value && threshold && rule.Past(*value, *threshold);
  const bool clear = !value || !threshold || rule.Clear(*value, *threshold);
  tier.for_at_least = rule.for_at_least;
  if (threshold) tier.threshold = *threshold;
  tier.below = clear ? tier.below + step : Duration{0};
  if (tier.state == AlertState::kFiring) {
    if (clear && tier.below >= kClearAfter) Move(tracked, severity, AlertState::kResolved, now);
    return;
  }
  if (tier.state == AlertState::kPending) {
    // Of all the time that it is pending: peaks that come again and again never hold.
    (clear ? tier.lapsed : tier.held) += step;
    if (clear && tier.lapsed > std::max<Duration>(kLapseMax, rule.for_at_least / 10))
      Move(tracked, severity, AlertState::kInactive, now);
  } else if (past) {
    Move(tracked, severity, AlertState::kPending, now);
  }
  if (tier.state == AlertState::kPending && past && tier.held >= rule.for_at_least)
    Move(tracked, severity, AlertState::kFiring, now);
}

// The critical tier first: a warning that fires at the same moment is inhibited from the start.
void AlertEngine::Step(Tracked& tracked, const AlertRule& rule, std::optional<double> value, Duration step,
                       Moment now) {
  StepTier(tracked, Severity::kCritical, rule, value, step, now);
  StepTier(tracked, Severity::kWarning, rule, value, step, now);
}

std::map<AlertSubject, AlertEngine::Tracked>::iterator AlertEngine::FindVictim(const AlertRule& rule, AlertKind kind,
                                                                               double badness) {
  auto victim = tracked_.end();
  std::pair<bool, double> least{true, 0};
  for (auto entry = tracked_.lower_bound({kind, {}, {}}); entry != tracked_.end() && entry->first.kind == kind;
       ++entry) {
    const std::pair<bool, double> rank{entry->second.is(AlertState::kFiring),
                                       rule.Badness(entry->second.reading.value)};
    if (rank.second * kWorseBy > badness) continue;
    if (victim == tracked_.end() || rank < least) {
      victim = entry;
      least = rank;
    }
  }
  return victim;
}

// The worst first, equals by subject.
void AlertEngine::Admit(const AlertRules& rules, std::vector<AlertReading> newcomers) {
  std::sort(newcomers.begin(), newcomers.end(), [&](const AlertReading& one, const AlertReading& other) {
    const double badness = rules[one.subject.kind].Badness(one.value),
                 other_badness = rules[other.subject.kind].Badness(other.value);
    return badness != other_badness ? badness > other_badness : one.subject < other.subject;
  });
  std::set<AlertSubject> refused;
  for (AlertReading& reading : newcomers) {
    const AlertKind kind = reading.subject.kind;
    const AlertRule& rule = rules[kind];
    if (tracked_of_kind_[IndexOf(kind)] >= kSubjectsMax) {
      const auto victim = FindVictim(rule, kind, rule.Badness(reading.value));
      const AlertSubject& turned_away = victim == tracked_.end() ? reading.subject : victim->first;
      if (!refused_.contains(turned_away)) ++turned_away_;
      refused.insert(turned_away);
      if (victim == tracked_.end()) continue;
      victim->second.reading.description += " It makes room for worse ones.";
      for (const Severity severity : kBothSeverities) {
        const AlertState state = victim->second.tiers[IndexOf(severity)].state;
        if (state == AlertState::kFiring) Move(victim->second, severity, AlertState::kResolved, now_);
        if (state == AlertState::kPending) Move(victim->second, severity, AlertState::kInactive, now_);
      }
      tracked_.erase(victim);
      --tracked_of_kind_[IndexOf(kind)];
    }
    AlertSubject subject = reading.subject;
    Tracked tracked;
    tracked.reading = std::move(reading);
    tracked_.emplace(std::move(subject), std::move(tracked));
    ++tracked_of_kind_[IndexOf(kind)];
  }
  refused_ = std::move(refused);
}

std::vector<AlertTransition> AlertEngine::Update(const AlertRules& rules, AlertReadings readings, Moment now) {
  const Duration elapsed = last_update_ ? now.monotonic - *last_update_ : Duration{0};
  const Duration step = std::clamp<Duration>(elapsed, Duration{0}, kStepMax);
  last_update_ = now.monotonic;
  now_ = now;
  transitions_.clear();

  std::map<AlertSubject, double> seen;
  std::vector<AlertReading> newcomers;
  for (AlertReading& reading : readings.readings) {
    const AlertKind kind = reading.subject.kind;
    const AlertRule& rule = rules[kind];
    if (readings.blind[IndexOf(kind)]) continue;
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

  for (auto entry = tracked_.begin(); entry != tracked_.end();) {
    const AlertKind kind = entry->first.kind;
    Tracked& tracked = entry->second;
    tracked.degraded = readings.degraded[IndexOf(kind)];
    if (!readings.blind[IndexOf(kind)]) {
      const auto value = seen.find(entry->first);
      Step(tracked, rules[kind], value == seen.end() ? std::nullopt : std::optional(value->second), step, now);
    }
    const bool keep = tracked.active();
    if (!keep) --tracked_of_kind_[IndexOf(kind)];
    entry = keep ? std::next(entry) : tracked_.erase(entry);
  }
  while (!resolved_.empty() && now.monotonic - resolved_.back().when > kResolvedKept) resolved_.pop_back();
  return std::move(transitions_);
}

AlertList AlertEngine::alerts() const {
  AlertList alerts;
  for (const auto& [subject, tracked] : tracked_) {
    for (const Severity severity : kBothSeverities) {
      if (tracked.tiers[IndexOf(severity)].state != AlertState::kInactive)
        alerts.push_back(Describe(tracked, severity));
    }
  }
  for (const Resolved& resolved : resolved_) alerts.push_back(resolved.alert);
  return alerts;
}

}  // namespace conntally
