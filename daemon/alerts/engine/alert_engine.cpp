#include "daemon/alerts/engine/alert_engine.h"

#include <algorithm>
#include <utility>

#include "daemon/alerts/kinds/alert_causes.h"

namespace conntally {
bool AlertEngine::Tracked::active() const {
  return std::any_of(tiers.begin(), tiers.end(), [](const Tier& tier) { return tier.state != AlertState::kInactive; });
}
bool AlertEngine::Tracked::told() const {
  return std::any_of(tiers.begin(), tiers.end(),
                     [](const Tier& tier) { return tier.told && tier.state == AlertState::kFiring; });
}
bool AlertEngine::Tracked::WorseFires(Severity severity) const {
  return std::any_of(tiers.begin() + static_cast<std::ptrdiff_t>(IndexOf(severity)) + 1, tiers.end(),
                     [](const Tier& worse) { return worse.state == AlertState::kFiring; });
}

Alert AlertEngine::Describe(const Tracked& tracked, Severity severity) {
  const Tier& tier = tracked.tier(severity);
  Alert alert;
  alert.subject = tracked.reading.subject;
  alert.severity = severity;
  alert.state = tier.state;
  alert.inhibited = tier.state == AlertState::kFiring && tracked.WorseFires(severity);
  alert.since = tier.since;
  alert.fired = tier.fired;
  alert.for_at_least = tier.for_at_least;
  alert.standing = tracked.reading.standing;
  alert.value = tracked.reading.value;
  alert.threshold = tier.threshold;
  alert.description = tracked.reading.description;
  alert.evidence = tracked.reading.evidence;
  alert.degraded = tracked.degraded;
  if (!alert.degraded.empty()) alert.description += " The data is degraded: " + alert.degraded + ".";
  return alert;
}

bool AlertEngine::ResolvedLately(const AlertSubject& subject, Severity severity) const {
  return std::any_of(resolved_.begin(), resolved_.end(), [&](const Resolved& resolved) {
    return resolved.alert.severity == severity && resolved.alert.subject == subject;
  });
}

void AlertEngine::Resolve(Alert alert) {
  transitions_.push_back({alert, AlertState::kFiring});
  resolved_.push_front({now_.monotonic, std::move(alert)});
  if (resolved_.size() > kResolvedMax) resolved_.pop_back();
}

// A firing alert is reported once it is known whether it has a place: see Tell and Publish.
void AlertEngine::Move(Tracked& tracked, Severity severity, AlertState to) {
  Tier& tier = tracked.tier(severity);
  const AlertSubject& subject = tracked.reading.subject;
  const AlertState from = tier.state;
  tier.state = to;
  tier.since = now_.wall;
  tier.below = Duration{0};
  if (from == AlertState::kPending && tier.told) pending_places_.Leave(subject, severity, now_.monotonic);
  switch (to) {
    case AlertState::kPending:
      tier.held = tier.lapsed = Duration{0};
      tier.told = pending_places_.Take(subject, severity, tracked.reading.standing, 0, now_.monotonic);
      if (tier.told) transitions_.push_back({Describe(tracked, severity), from});
      break;
    case AlertState::kFiring:
      tier.fired = now_.wall;
      tier.told = false;
      tier.again = ResolvedLately(subject, severity);
      break;
    case AlertState::kInactive:
      if (tier.told) transitions_.push_back({Describe(tracked, severity), from});
      break;
    case AlertState::kResolved:
      if (tier.told) {
        Resolve(Describe(tracked, severity));
        places_.Leave(subject, severity, now_.monotonic);
      }
      tier.state = AlertState::kInactive;
      break;
  }
}

void AlertEngine::StepTier(Tracked& tracked, Severity severity, const AlertRule& rule, std::optional<double> value,
                           Duration step) {
  Tier& tier = tracked.tier(severity);
  const std::optional<AlertTier>& set = rule.tiers[IndexOf(severity)];
  const bool past = value && set && rule.Past(*value, set->threshold);
  const bool clear = !value || !set || rule.Clear(*value, set->threshold);
  if (set) {
    tier.threshold = set->threshold;
    tier.for_at_least = set->for_at_least;
  }
  tier.grace = past ? Duration{0} : std::max(tier.grace - step, Duration{0});
  if (tier.grace > Duration{0}) return;
  tier.below = clear ? tier.below + step : Duration{0};
  if (tier.state == AlertState::kFiring) {
    const Tier& warning = tracked.tier(Severity::kWarning);
    const bool waits = severity == Severity::kCritical && warning.state == AlertState::kFiring && !warning.cleared() &&
                       tier.below < tier.clears_after() + kWaitsForWarning;
    if (tier.cleared() && !waits && !tracked.WorseFires(severity)) Move(tracked, severity, AlertState::kResolved);
    return;
  }
  if (tier.state == AlertState::kPending) {
    // Over all the time that it is pending: repeated peaks never hold.
    (clear ? tier.lapsed : tier.held) += step;
    if (clear && tier.lapsed > std::max<Duration>(kLapseMax, tier.for_at_least / 10))
      Move(tracked, severity, AlertState::kInactive);
  } else if (past) {
    Move(tracked, severity, AlertState::kPending);
  }
  if (tier.state == AlertState::kPending && past && tier.held >= tier.for_at_least)
    Move(tracked, severity, AlertState::kFiring);
}

const AlertRule& AlertEngine::RuleOf(const AlertRules& rules, const AlertReading& reading) {
  return reading.rule ? *reading.rule : rules[reading.subject.kind];
}

// Gives firing alerts their places: the best proven subjects first, then the worst; the others make one alert.
void AlertEngine::Tell(const AlertRules& rules, const AlertReadings& readings, Duration step) {
  struct Untold {
    Tracked* tracked;
    Severity severity;
    double badness;
  };
  std::vector<Untold> untold;
  for (auto& [subject, tracked] : tracked_) {
    for (const Severity severity : kWorstFirst) {
      const Tier& tier = tracked.tier(severity);
      if (tier.state != AlertState::kFiring || tier.told || tracked.WorseFires(severity)) continue;
      untold.push_back({&tracked, severity, RuleOf(rules, tracked.reading).Badness(tracked.reading.value)});
    }
  }
  std::stable_sort(untold.begin(), untold.end(), [](const Untold& one, const Untold& other) {
    const Standing its = one.tracked->reading.standing, others = other.tracked->reading.standing;
    return its != others ? its > others : one.badness > other.badness;
  });
  std::map<CollectiveAlerts::Key, CollectiveAlerts::Members> members;
  for (const Alert& alert : collectives_.alerts()) members[{alert.subject.kind, alert.severity}];
  for (const Untold& each : untold) {
    const AlertReading& reading = each.tracked->reading;
    Tier& tier = each.tracked->tier(each.severity);
    tier.told = tier.fresh =
        places_.Take(reading.subject, each.severity, reading.standing, each.badness, now_.monotonic);
    if (!tier.told)
      members[{reading.subject.kind, each.severity}].alerts.push_back(Describe(*each.tracked, each.severity));
  }
  for (auto& [key, of_key] : members) {
    of_key.more = tracked_of_kind_[IndexOf(key.first)] >= kSubjectsMax;
    const auto look =
        readings.blind[IndexOf(key.first)] ? CollectiveAlerts::Look::kBlind : CollectiveAlerts::Look::kSeen;
    if (auto ended = collectives_.Update(key, of_key, look, step, now_.wall)) Resolve(std::move(*ended));
  }
}

void AlertEngine::Publish() {
  AlertList published;
  std::vector<bool> fresh;
  for (auto& [subject, tracked] : tracked_) {
    for (const Severity severity : kWorstFirst) {
      Tier& tier = tracked.tier(severity);
      if (tier.state == AlertState::kInactive || !tier.told) continue;
      published.push_back(Describe(tracked, severity));
      fresh.push_back(std::exchange(tier.fresh, false));
    }
  }
  for (Alert& alert : collectives_.alerts()) {
    fresh.push_back(collectives_.TakeFresh({alert.subject.kind, alert.severity}));
    published.push_back(std::move(alert));
  }
  AlertList ended_lately;
  for (const Resolved& resolved : resolved_) {
    if (now_.monotonic - resolved.when <= kCauseLasts) ended_lately.push_back(resolved.alert);
  }
  InhibitWhatFollows(published, ended_lately);
  for (std::size_t i = 0; i < published.size(); ++i) {
    if (!fresh[i]) continue;
    transitions_.push_back({published[i], AlertState::kPending});
    std::erase_if(resolved_, [&](const Resolved& resolved) {
      return resolved.alert.severity == published[i].severity && resolved.alert.subject == published[i].subject;
    });
  }
  published_ = std::move(published);
}

std::vector<AlertTransition> AlertEngine::Update(const AlertRules& rules, AlertReadings readings, Moment now) {
  const Duration elapsed = last_update_ ? now.monotonic - *last_update_ : Duration{0};
  const Duration step = std::clamp<Duration>(elapsed, Duration{0}, kStepMax);
  last_update_ = now.monotonic;
  now_ = now;
  transitions_.clear();
  const std::map<AlertSubject, double> seen = TakeReadings(rules, readings);
  for (auto entry = tracked_.begin(); entry != tracked_.end();) {
    const AlertKind kind = entry->first.kind;
    Tracked& tracked = entry->second;
    tracked.degraded = readings.degraded[IndexOf(kind)];
    if (!readings.blind[IndexOf(kind)]) {
      const auto value = seen.find(entry->first);
      const auto its = value == seen.end() ? std::nullopt : std::optional(value->second);
      for (const Severity severity : kWorstFirst)
        StepTier(tracked, severity, RuleOf(rules, tracked.reading), its, step);
    }
    const bool keep = tracked.active();
    if (!keep) --tracked_of_kind_[IndexOf(kind)];
    entry = keep ? std::next(entry) : tracked_.erase(entry);
  }
  Tell(rules, readings, step);
  Publish();
  while (!resolved_.empty() && now.monotonic - resolved_.back().when > kResolvedKept) resolved_.pop_back();
  return std::move(transitions_);
}

AlertList AlertEngine::alerts() const {
  AlertList alerts = published_;
  for (const Resolved& resolved : resolved_) alerts.push_back(resolved.alert);
  return alerts;
}

}  // namespace conntally
