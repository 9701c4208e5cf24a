// Which alert follows from which: what follows is not told while its cause fires, and for a minute after. ALERTS.md has
// the table for people, and config/alertmanager/alertmanager.yml does the same for what Prometheus tells by itself.
// Pure; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "daemon/alerts/kinds/alert.h"

namespace conntally {

struct AlertCause {
  enum class Of : std::uint8_t {
    kHost,           // wherever on the host
    kSameSource,     // that has the cause's source; an info stays, as the fact that it is
    kSameRule,       // that has the cause's rule
    kManyBySameRule  // likewise, and that stands for many subjects: those told by name stay
  };
  AlertKind cause;
  AlertKind effect;
  Of of = Of::kHost;
};

// HalfOpenFlood fills a table, so a full table does not mute it.
inline constexpr std::array kAlertCauses = {
    AlertCause{AlertKind::kConntrackTableFull, AlertKind::kConntrackTableNearlyFull},
    AlertCause{AlertKind::kConntrackTableFull, AlertKind::kConntrackTableFillPredicted},
    AlertCause{AlertKind::kConntrackTableFull, AlertKind::kConntrackInsertFailed},
    AlertCause{AlertKind::kConntrackTableFull, AlertKind::kConnectionsUnanswered},
    AlertCause{AlertKind::kConntrackTableFull, AlertKind::kConntallyDegraded},
    AlertCause{AlertKind::kConntrackTableNearlyFull, AlertKind::kConntrackTableFillPredicted},
    AlertCause{AlertKind::kHalfOpenFlood, AlertKind::kConnectionsUnanswered},
    AlertCause{AlertKind::kNatPortsNearlyExhausted, AlertKind::kConntrackInsertFailed},
    AlertCause{AlertKind::kSourceScanning, AlertKind::kSourceMatchesDropRule, AlertCause::Of::kSameSource},
    AlertCause{AlertKind::kRegularSourcesDropped, AlertKind::kDropRuleSpike, AlertCause::Of::kSameRule},
    AlertCause{AlertKind::kRegularSourcesDropped, AlertKind::kSourceMatchesDropRule, AlertCause::Of::kManyBySameRule},
};

// Never one that is worse than its cause: that is news of its own.
inline bool FollowsFrom(const Alert& effect, const Alert& cause) {
  if (effect.severity > cause.severity) return false;
  return std::any_of(kAlertCauses.begin(), kAlertCauses.end(), [&](const AlertCause& each) {
    if (each.cause != cause.subject.kind || each.effect != effect.subject.kind) return false;
    if (each.of == AlertCause::Of::kHost) return true;
    if (each.of == AlertCause::Of::kSameSource)
      return effect.severity > Severity::kInfo && !effect.collective && effect.subject.source == cause.subject.source;
    const bool many = effect.collective || each.of != AlertCause::Of::kManyBySameRule;
    return many && effect.subject.rule == cause.subject.rule;
  });
}

// Marks each that follows from another one of them, or from one that ended lately: figures of a past window outlast
// their cause. What began to fire after that end is news.
inline void InhibitWhatFollows(AlertList& alerts, const AlertList& ended_lately) {
  AlertList causes = ended_lately;
  std::copy_if(alerts.begin(), alerts.end(), std::back_inserter(causes),
               [](const Alert& alert) { return alert.state == AlertState::kFiring; });
  std::erase_if(causes, [](const Alert& alert) {
    return std::none_of(kAlertCauses.begin(), kAlertCauses.end(),
                        [&](const AlertCause& each) { return each.cause == alert.subject.kind; });
  });
  for (Alert& alert : alerts) {
    if (!alert.visible_firing()) continue;
    const auto cause = std::find_if(causes.begin(), causes.end(), [&](const Alert& each) {
      return FollowsFrom(alert, each) && (each.state == AlertState::kFiring || alert.fired <= each.since);
    });
    if (cause == causes.end()) continue;
    alert.inhibited = true;
    alert.cause = cause->subject.kind;
  }
}

}  // namespace conntally
