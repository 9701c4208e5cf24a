#include "daemon/alerts/engine/collective_alerts.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace conntally {
namespace {

const std::string& NameIn(const Alert& alert) {
  return alert.subject.source.empty() ? alert.subject.rule : alert.subject.source;
}

AlertSubject SubjectOf(const std::vector<Alert>& members) {
  const AlertSubject& first = members.front().subject;
  AlertSubject subject{first.kind, {}, first.rule};
  const auto every = [&](auto&& holds) { return std::all_of(members.begin(), members.end(), holds); };
  if (every([](const Alert& each) { return each.subject.source.empty(); })) {
    subject.rule = CollectiveAlerts::kOtherRules;
  } else if (!every([&](const Alert& each) { return each.subject.rule == first.rule; })) {
    subject.rule.clear();
  }
  return subject;
}

}  // namespace

void CollectiveAlerts::Describe(const Members& members, Alert& alert) {
  const Alert& first = members.alerts.front();
  const bool rules = first.subject.source.empty();
  const char* what = first.subject.kind == AlertKind::kNatPortsNearlyExhausted ? "use of ports"
                     : rules                                                   ? "rule"
                                                                               : "source";
  const std::size_t count = members.alerts.size();
  std::size_t proven = 0;
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    proven += !CanBeForged(members.alerts[i].standing);
    if (i < kNamed) names += (i == 0 ? "" : ", ") + NameIn(members.alerts[i]);
  }
  alert.description = fmt::format("{}{} {}{}{}, besides those that are told by name: {}{}. All: {}. The first: {}",
                                  members.more ? "at least " : "", count, what, count == 1 ? "" : "s",
                                  rules ? "" : fmt::format(", {} of them proven", proven), names,
                                  count > kNamed ? " ..." : "", ListOf(alert.subject.kind), first.description);
  alert.evidence = {{"subjects", static_cast<double>(count)}, {"first", names}, {"list", ListOf(alert.subject.kind)}};
  alert.standing = first.standing;
  alert.value = first.value;
  alert.threshold = first.threshold;
  alert.for_at_least = first.for_at_least;
  alert.degraded = first.degraded;
  alert.subjects = count;
}

std::optional<Alert> CollectiveAlerts::Update(const Key& key, const Members& members, Look look, Duration step,
                                              AlertTime now) {
  const auto found = collectives_.find(key);
  if (!members.alerts.empty()) {
    Collective& collective = collectives_[key];
    Alert& alert = collective.alert;
    collective.below = Duration{0};
    if (found == collectives_.end()) {
      collective.fresh = alert.collective = true;
      alert.subject = SubjectOf(members.alerts);
      alert.severity = key.second;
      alert.state = AlertState::kFiring;
      alert.since = alert.fired = now;
    }
    Describe(members, alert);
    return std::nullopt;
  }
  if (found == collectives_.end() || look == Look::kBlind) return std::nullopt;
  found->second.below += step;
  if (found->second.below < kClearAfter) return std::nullopt;
  Alert ended = std::move(found->second.alert);
  ended.state = AlertState::kResolved;
  ended.since = now;
  collectives_.erase(found);
  return ended;
}

std::vector<Alert> CollectiveAlerts::alerts() const {
  std::vector<Alert> alerts;
  for (const auto& [key, collective] : collectives_) alerts.push_back(collective.alert);
  return alerts;
}

void CollectiveAlerts::Restore(Alert alert, Duration grace) {
  const Key key{alert.subject.kind, alert.severity};
  collectives_.insert_or_assign(key, Collective{std::move(alert), -grace, false});
}

}  // namespace conntally
