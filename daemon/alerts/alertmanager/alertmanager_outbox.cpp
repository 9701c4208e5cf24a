#include "daemon/alerts/alertmanager/alertmanager_outbox.h"

#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace conntally {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

std::string Rfc3339(AlertTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const std::time_t whole = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  gmtime_r(&whole, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (time - seconds).count());
}

AlertmanagerOutbox::Labels LabelsOf(const Alert& alert, const AlertmanagerOutbox::Labels& external) {
  AlertmanagerOutbox::Labels labels = external;
  // Under both names: Alertmanager's, and that of our series.
  labels["alertname"] = labels["alert"] = NameOf(alert.subject.kind);
  labels["severity"] = NameOf(alert.severity);
  if (!alert.subject.source.empty()) labels["source"] = alert.subject.source;
  if (!alert.subject.rule.empty()) labels["rule"] = alert.subject.rule;
  std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
  return labels;
}

std::string KeyOf(const AlertmanagerOutbox::Labels& labels) {
  std::string key;
  for (const auto& [name, value] : labels) key += name + '\0' + value + '\0';
  return key;
}

}  // namespace

void AlertmanagerOutbox::Update(const AlertList& alerts, const Labels& external, Moment now) {
  for (auto& [key, entry] : entries_) entry.here = false;
  for (const Alert& alert : alerts) {
    if (alert.state != AlertState::kFiring) continue;
    Labels labels = LabelsOf(alert, external);
    const std::string key = KeyOf(labels);
    auto found = entries_.find(key);
    if (found == entries_.end()) {
      if (alert.inhibited) continue;
      if (entries_.size() >= kEntriesMax) MakeRoom();
      if (entries_.size() >= kEntriesMax) continue;
      found = entries_.try_emplace(key).first;
      found->second.labels = std::move(labels);
    }
    Entry& entry = found->second;
    if (entry.ended) entry.ended.reset();  // it fires again before its end was sent
    entry.here = true;
    entry.inhibited = alert.inhibited;
    entry.fired = alert.fired;
    entry.valid_for = kValidFor + std::min<milliseconds>(alert.for_at_least, kValidForExtraMax);
    entry.annotations = {{"summary", SummaryOf(alert.subject.kind)},
                         {"description", alert.description},
                         {"runbook_url", RunbookUrl(alert.subject.kind)}};
  }
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    Entry& each = entry->second;
    if (!each.here && !each.ended) {
      each.ended = now.monotonic;
      each.ended_wall = now.wall;
    }
    const bool untold = each.ended && !each.told;
    const bool forget = untold && (each.inhibited || now.monotonic - *each.ended > kWorthTellingFor);
    entry = forget ? entries_.erase(entry) : std::next(entry);
  }
}

// Gives up the end that has waited longest.
void AlertmanagerOutbox::MakeRoom() {
  auto oldest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.ended && (oldest == entries_.end() || *entry->second.ended < *oldest->second.ended))
      oldest = entry;
  }
  ++given_up_;
  if (oldest != entries_.end()) entries_.erase(oldest);
}

AlertmanagerOutbox::Due AlertmanagerOutbox::DueOf(const Entry& entry, Time now) {
  if (now < entry.not_before) return Due::kNo;
  if (entry.ended) {
    if (!entry.told) return Due::kFires;
    const bool told_late = *entry.told >= *entry.ended;
    return !told_late || now - *entry.told >= kSeenFor ? Due::kEnded : Due::kNo;
  }
  if (!entry.told) return entry.inhibited ? Due::kNo : Due::kFires;
  return now - *entry.told >= kResendAfter ? Due::kFires : Due::kNo;
}

std::optional<AlertmanagerOutbox::Message> AlertmanagerOutbox::Next(Moment now) {
  if (now.monotonic < next_attempt_) return std::nullopt;
  return Compose(now, false);
}

std::optional<AlertmanagerOutbox::Message> AlertmanagerOutbox::NextEnds(Moment now) { return Compose(now, true); }

std::optional<AlertmanagerOutbox::Message> AlertmanagerOutbox::Compose(Moment now, bool only_ends) {
  Message message;
  message.composed = now.monotonic;
  Json body = Json::array();
  for (const auto& [key, entry] : entries_) {
    const Due due = DueOf(entry, now.monotonic);
    if (due == Due::kNo || (only_ends && due != Due::kEnded)) continue;
    if (message.keys.size() >= batch_max_) break;
    const AlertTime ends = due == Due::kEnded ? entry.ended_wall : now.wall + entry.valid_for;
    // After the clock was set back, an alert must not end before it began: Alertmanager refuses that.
    const AlertTime starts = std::min(entry.fired, ends - milliseconds(1));
    body.push_back({{"labels", entry.labels},
                    {"annotations", entry.annotations},
                    {"startsAt", Rfc3339(starts)},
                    {"endsAt", Rfc3339(ends)}});
    message.keys.push_back(key);
    message.ends.push_back(due == Due::kEnded);
  }
  if (message.keys.empty()) return std::nullopt;
  message.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return message;
}

void AlertmanagerOutbox::Delivered(const Message& message, Moment now) {
  for (std::size_t i = 0; i < message.keys.size(); ++i) {
    const auto found = entries_.find(message.keys[i]);
    if (found == entries_.end()) continue;
    found->second.refused = false;
    if (!message.ends[i]) {
      found->second.told = message.composed;
    } else if (found->second.ended) {
      entries_.erase(found);
    } else {
      found->second.told.reset();  // it fires again: send at once
    }
  }
  pause_ = milliseconds(0);
  next_attempt_ = now.monotonic;
  batch_max_ = kBatchMax;
}

void AlertmanagerOutbox::Failed(const Message& message, Refusal refusal, Moment now) {
  pause_ = std::clamp<milliseconds>(pause_ * 2, kPauseMin, kPauseMax);
  next_attempt_ = now.monotonic + pause_;
  if (refusal == Refusal::kNotReached) return;
  // One bad alert must not block the others.
  if (message.keys.size() == 1) {
    const auto found = entries_.find(message.keys[0]);
    if (found != entries_.end()) {
      found->second.not_before = now.monotonic + kRefusedFor;
      if (!std::exchange(found->second.refused, true)) ++given_up_;
    }
  }
  batch_max_ = std::max<std::size_t>(message.keys.size() / 2, 1);
}

}  // namespace conntally
