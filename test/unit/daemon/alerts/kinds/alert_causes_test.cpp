#include "daemon/alerts/kinds/alert_causes.h"
#include "test/support/catch.h"

using namespace conntally;

namespace {

Alert Firing(AlertKind kind, Severity severity, std::string source, std::string rule = {}) {
  Alert alert;
  alert.subject = {kind, std::move(source), std::move(rule)};
  alert.severity = severity;
  alert.state = AlertState::kFiring;
  return alert;
}

}  // namespace

TEST_CASE("that a source which scans is dropped is told once: by the scan") {
  const Alert scans = Firing(AlertKind::kSourceScanning, Severity::kWarning, "192.0.2.7");
  const auto dropped = [](Severity severity, const char* source) {
    return Firing(AlertKind::kSourceMatchesDropRule, severity, source, "ip filter input 3");
  };
  CHECK(FollowsFrom(dropped(Severity::kWarning, "192.0.2.7"), scans));
  CHECK_FALSE(FollowsFrom(dropped(Severity::kWarning, "192.0.2.8"), scans));
  CHECK_FALSE(FollowsFrom(dropped(Severity::kCritical, "192.0.2.7"), scans));  // news of its own
  CHECK_FALSE(FollowsFrom(dropped(Severity::kInfo, "192.0.2.7"), scans));      // a fact, which wakes nobody
  Alert many = dropped(Severity::kWarning, "");
  many.collective = true;
  CHECK_FALSE(FollowsFrom(many, Firing(AlertKind::kSourceScanning, Severity::kWarning, "")));
}

TEST_CASE("that a regular is dropped is told once: by the rule that drops regulars") {
  const Alert cause = Firing(AlertKind::kRegularSourcesDropped, Severity::kWarning, "", "udp dport 53 drop");
  Alert dropped = Firing(AlertKind::kSourceMatchesDropRule, Severity::kWarning, "192.0.2.7", "udp dport 53 drop");
  dropped.standing = Standing::kRegular;
  CHECK(FollowsFrom(dropped, cause));
  dropped.standing = Standing::kProven;
  CHECK_FALSE(FollowsFrom(dropped, cause));
  dropped.standing = Standing::kRegular;
  dropped.subject.rule = "tcp dport 25 drop";
  CHECK_FALSE(FollowsFrom(dropped, cause));
}

TEST_CASE("what fired beside its cause stays muted for a while after it, and what came later does not") {
  using namespace std::chrono_literals;
  Alert ended = Firing(AlertKind::kNatPortsNearlyExhausted, Severity::kCritical, "");
  ended.state = AlertState::kResolved;
  ended.since = AlertTime(100s);
  Alert effect = Firing(AlertKind::kConntrackInsertFailed, Severity::kWarning, "");
  const auto inhibited = [&](std::chrono::seconds fired, const AlertList& lately) {
    effect.fired = AlertTime(fired);
    AlertList alerts = {effect};
    InhibitWhatFollows(alerts, lately);
    CHECK(alerts[0].cause == (alerts[0].inhibited ? std::optional(ended.subject.kind) : std::nullopt));
    return alerts[0].inhibited;
  };
  CHECK(inhibited(90s, {ended}));
  CHECK_FALSE(inhibited(110s, {ended}));
  CHECK_FALSE(inhibited(90s, {}));
}
