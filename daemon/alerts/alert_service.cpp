#include "daemon/alerts/alert_service.h"

#include <spdlog/spdlog.h>

#include <chrono>

#include "collectors/system/threads/worker_thread.h"
#include "daemon/log/log_fields.h"

namespace conntally {
namespace {

AlertEngine::Moment EngineMoment() {
  return {std::chrono::steady_clock::now(),
          std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now())};
}

// An alert that alarms is logged as a warning; a pending info is not worth a line.
spdlog::level::level_enum LevelOf(const Alert& alert) {
  if (alert.severity == Severity::kInfo && alert.state == AlertState::kPending) return spdlog::level::debug;
  return alert.alarms() ? spdlog::level::warn : spdlog::level::info;
}

std::string WhyInhibited(const Alert& alert) {
  if (!alert.inhibited) return {};
  return fmt::format(" (inhibited by {})", alert.cause ? NameOf(*alert.cause) : "a higher severity");
}

void Log(const AlertTransition& transition) {
  const Alert& alert = transition.alert;
  std::string labels = fmt::format("alert={} severity={}", NameOf(alert.subject.kind), NameOf(alert.severity));
  if (!alert.subject.source.empty()) labels += " source=" + alert.subject.source;
  if (!alert.subject.rule.empty()) labels += " rule=\"" + alert.subject.rule + '"';
  LogWith({.source = alert.subject.source, .rule = alert.subject.rule, .alert = NameOf(alert.subject.kind)},
          LevelOf(alert),
          fmt::format("alert {}{}: {}: value {:.4g}, threshold {:.4g}: {}", NameOf(alert.state), WhyInhibited(alert),
                      labels, alert.value, alert.threshold, alert.description));
}

}  // namespace

void AlertService::Start() {
  push_.Start();
  thread_ = StartThread("alerts", [this] { Run(); });
}

void AlertService::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  woken_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
    Save();
  }
  push_.Stop();
  state_.Stop();
}

void AlertService::Restore() {
  saved_ = std::chrono::steady_clock::now();
  const auto taken_up = Caught([&] {
    auto state = state_.Load();
    if (!state) return;
    if (state->age <= kAlertsAgeMax) engine_.Restore(state->alerts, EngineMoment());
    state->judge["continues"] = state->continues;
    state->judge["age_seconds"] = state->age.count();
    if (const std::string left_out = reader_.Restore(state->judge); !left_out.empty())
      spdlog::warn("state: some saved baselines were not restored: {}", left_out);
  });
  if (!taken_up) spdlog::warn("state: not all of it was restored: {}", taken_up.error().message);
  auto figures = std::make_shared<AlertFigures>();
  figures->alerts = engine_.alerts();
  const std::lock_guard lock(mutex_);
  figures_ = std::move(figures);
}

void AlertService::Save() {
  if (!state_.keeps()) return;
  changed_ = false;
  saved_ = std::chrono::steady_clock::now();
  const auto saved = Caught([&] { state_.Save({.alerts = engine_.Save(), .judge = reader_.Save()}); });
  if (!saved) spdlog::error("state: {}", saved.error().message);
}

void AlertService::set_config(const Config& config) {
  const std::lock_guard lock(mutex_);
  config_ = config;
}

std::shared_ptr<const AlertFigures> AlertService::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void AlertService::Describe(CollectorReport& report) const {
  const auto figures = this->figures();
  report.overflows["alerts"] = figures->turned_away;
  report.figures.push_back({.name = "conntally_alert_memory_bytes",
                            .help = "Approximate memory of the alert judges' history.",
                            .value = static_cast<double>(figures->memory_bytes)});
  report.overflows["alert_notifications"] = push_.given_up();
}

void AlertService::Run() {
  auto next = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!woken_.wait_until(lock, next, [this] { return stopping_; })) {
    lock.unlock();
    Look();
    lock.lock();
    next += kInterval;
    // The machine slept: do not catch up.
    if (const auto now = std::chrono::steady_clock::now(); next < now) next = now + kInterval;
  }
}

void AlertService::Look() {
  Config config;
  {
    const std::lock_guard lock(mutex_);
    config = config_;
  }
  const AlertRules rules(config.alerts);
  const AlertEvidence evidence = gather_(rules);
  for (const AlertTransition& transition : engine_.Update(rules, reader_.Read(rules, evidence), EngineMoment())) {
    Log(transition);
    changed_ = changed_ || transition.alert.state != AlertState::kPending;
  }
  auto figures = std::make_shared<AlertFigures>();
  push_.Update(engine_.alerts(), config.alertmanager);
  figures->alerts = engine_.alerts();
  figures->evaluated = EngineMoment().wall;
  figures->memory_bytes = reader_.memory_bytes();
  figures->turned_away = engine_.turned_away() + reader_.turned_away();
  figures->notifications = push_.figures();
  {
    const std::lock_guard lock(mutex_);
    figures_ = std::move(figures);
  }
  const auto since = std::chrono::steady_clock::now() - saved_;
  if (since >= StateKeeper::kEvery || (changed_ && since >= kSaveSoon)) Save();
}

}  // namespace conntally
