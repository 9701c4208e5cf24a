// Which alert causes which: an effect is inhibited while its cause fires, and for a minute after. ALERTS.md has the
// same table, and config/alertmanager/alertmanager.yml does the same for the alerts of Prometheus. Pure; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "daemon/alerts/kinds/alert.h"

namespace conntally {

struct AlertCause {
  enum class Of : std::uint8_t {
    kHost,              // every effect on the host
    kSameSource,        // effects with the cause's source, except an info
    kSameRule,          // effects with the cause's rule
    kCountedBySameRule  // effects with the cause's rule that it counts: collective ones, and those of regulars
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
    AlertCause{AlertKind::kRegularSourcesDropped, AlertKind::kSourceMatchesDropRule,
               AlertCause::Of::kCountedBySameRule},
};

// An effect that is more severe than the cause is never inhibited.
inline bool FollowsFrom(const Alert& effect, const Alert& cause) {
  if (effect.severity > cause.severity) return false;
  return std::any_of(kAlertCauses.begin(), kAlertCauses.end(), [&](const AlertCause& each) {
    if (each.cause != cause.subject.kind || each.effect != effect.subject.kind) return false;
    if (each.of == AlertCause::Of::kHost) return true;
    if (each.of == AlertCause::Of::kSameSource)
      return effect.severity > Severity::kInfo && !effect.collective && effect.subject.source == cause.subject.source;
    const bool counted =
        effect.collective || effect.standing == Standing::kRegular || each.of != AlertCause::Of::kCountedBySameRule;
    return counted && effect.subject.rule == cause.subject.rule;
  });
}

// Marks each alert that another one causes, or one that ended recently, since figures over a window outlast their
// cause. An alert that began after that end is not inhibited.
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
