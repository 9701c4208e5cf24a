#include "daemon/alerts/alert_engine.h"

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

// The worst first: a lesser one that fires at the same moment is inhibited from the start.
constexpr std::array kWorstFirst = {Severity::kCritical, Severity::kWarning, Severity::kInfo};

std::size_t IndexOf(AlertKind kind) { return static_cast<std::size_t>(kind); }
std::size_t IndexOf(Severity severity) { return static_cast<std::size_t>(severity); }

}  // namespace

Alert AlertEngine::Describe(const Tracked& tracked, Severity severity) {
  const Tier& tier = tracked.tiers[IndexOf(severity)];
  Alert alert;
  alert.subject = tracked.reading.subject;
  alert.severity = severity;
  alert.state = tier.state;
  alert.inhibited =
      tier.state == AlertState::kFiring &&
      std::any_of(tracked.tiers.begin() + static_cast<std::ptrdiff_t>(IndexOf(severity)) + 1, tracked.tiers.end(),
                  [](const Tier& worse) { return worse.state == AlertState::kFiring; });
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
  const std::optional<AlertTier>& set = rule.tiers[IndexOf(severity)];
  const bool past = value && set && rule.Past(*value, set->threshold);
  const bool clear = !value || !set || rule.Clear(*value, set->threshold);
  if (set) {
    tier.threshold = set->threshold;
    tier.for_at_least = set->for_at_least;
  }
  tier.below = clear ? tier.below + step : Duration{0};
  if (tier.state == AlertState::kFiring) {
    if (clear && tier.below >= kClearAfter) Move(tracked, severity, AlertState::kResolved, now);
    return;
  }
  if (tier.state == AlertState::kPending) {
    // Of all the time that it is pending: peaks that come again and again never hold.
    (clear ? tier.lapsed : tier.held) += step;
    if (clear && tier.lapsed > std::max<Duration>(kLapseMax, tier.for_at_least / 10))
      Move(tracked, severity, AlertState::kInactive, now);
  } else if (past) {
    Move(tracked, severity, AlertState::kPending, now);
  }
  if (tier.state == AlertState::kPending && past && tier.held >= tier.for_at_least)
    Move(tracked, severity, AlertState::kFiring, now);
}

void AlertEngine::Step(Tracked& tracked, const AlertRule& rule, std::optional<double> value, Duration step,
                       Moment now) {
  for (const Severity severity : kWorstFirst) StepTier(tracked, severity, rule, value, step, now);
}

const AlertRule& AlertEngine::RuleOf(const AlertRules& rules, const AlertReading& reading) {
  return reading.rule ? *reading.rule : rules[reading.subject.kind];
}

std::map<AlertSubject, AlertEngine::Tracked>::iterator AlertEngine::FindVictim(const AlertRules& rules,
                                                                               const AlertReading& newcomer) {
  const AlertKind kind = newcomer.subject.kind;
  const double badness = RuleOf(rules, newcomer).Badness(newcomer.value);
  auto victim = tracked_.end();
  std::pair<bool, double> least{true, 0};
  for (auto entry = tracked_.lower_bound({kind, {}, {}}); entry != tracked_.end() && entry->first.kind == kind;
       ++entry) {
    const std::pair<bool, double> rank{entry->second.is(AlertState::kFiring),
                                       RuleOf(rules, entry->second.reading).Badness(entry->second.reading.value)};
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
    const double badness = RuleOf(rules, one).Badness(one.value),
                 other_badness = RuleOf(rules, other).Badness(other.value);
    return badness != other_badness ? badness > other_badness : one.subject < other.subject;
  });
  std::set<AlertSubject> refused;
  for (AlertReading& reading : newcomers) {
    const AlertKind kind = reading.subject.kind;
    if (tracked_of_kind_[IndexOf(kind)] >= kSubjectsMax) {
      const auto victim = FindVictim(rules, reading);
      const AlertSubject& turned_away = victim == tracked_.end() ? reading.subject : victim->first;
      if (!refused_.contains(turned_away)) ++turned_away_;
      refused.insert(turned_away);
      if (victim == tracked_.end()) continue;
      victim->second.reading.description += " It makes room for worse ones.";
      for (const Severity severity : kWorstFirst) {
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
    const AlertRule& rule = RuleOf(rules, reading);
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
      Step(tracked, RuleOf(rules, tracked.reading), value == seen.end() ? std::nullopt : std::optional(value->second),
           step, now);
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
    for (const Severity severity : kWorstFirst) {
      if (tracked.tiers[IndexOf(severity)].state != AlertState::kInactive)
        alerts.push_back(Describe(tracked, severity));
    }
  }
  for (const Resolved& resolved : resolved_) alerts.push_back(resolved.alert);
  return alerts;
}

}  // namespace conntally
