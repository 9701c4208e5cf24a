// The part of AlertEngine that a restart keeps.
#include <algorithm>

#include "daemon/alerts/engine/alert_engine.h"
#include "daemon/alerts/engine/alert_json.h"

namespace conntally {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr std::size_t kDescriptionBytesMax = 2000;

std::int64_t Count(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration_cast<milliseconds>(duration).count();
}

// Cuts at a character's end, or the file could not be read again.
std::string Cut(const std::string& text) {
  std::size_t end = std::min(text.size(), kDescriptionBytesMax);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

Json ReadingToJson(const AlertReading& reading) {
  Json json = SubjectToJson(reading.subject);
  json["standing"] = static_cast<int>(reading.standing);
  json["value"] = reading.value;
  json["description"] = Cut(reading.description);
  json["evidence"] = FactsToJson(reading.evidence);
  return json;
}

std::optional<AlertReading> ReadingFromJson(const Json& json) {
  const auto subject = SubjectFromJson(json);
  const auto standing = StandingFromJson(json);
  const auto value = NumberIn(json, "value");
  const auto description = TextIn(json, "description");
  if (!subject || !standing || !value || !description) return std::nullopt;
  const auto evidence = json.find("evidence");
  return AlertReading{*subject, *value, *description,
                      evidence == json.end() ? std::vector<AlertFact>{} : FactsFromJson(*evidence), *standing};
}

// nullptr if the JSON has no list of that name.
const Json* ListIn(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found != json.end() && found->is_array() ? &*found : nullptr;
}

}  // namespace

Json AlertEngine::Save() const {
  Json followed = Json::array(), many = Json::array();
  for (const auto& [subject, tracked] : tracked_) {
    Json tiers = Json::array();
    for (const Severity severity : kWorstFirst) {
      const Tier& tier = tracked.tier(severity);
      if (tier.state == AlertState::kInactive) continue;
      tiers.push_back({{"severity", NameOf(severity)},
                       {"firing", tier.state == AlertState::kFiring},
                       {"told", tier.told},
                       {"again", tier.again},
                       {"held", Count(tier.held)},
                       {"lapsed", Count(tier.lapsed)},
                       {"since", tier.since.time_since_epoch().count()},
                       {"fired", tier.fired.time_since_epoch().count()},
                       {"threshold", tier.threshold},
                       {"for", tier.for_at_least.count()}});
    }
    Json json = ReadingToJson(tracked.reading);
    json["tiers"] = std::move(tiers);
    followed.push_back(std::move(json));
  }
  for (const Alert& alert : collectives_.alerts()) {
    Json json = ReadingToJson({alert.subject, alert.value, alert.description, alert.evidence, alert.standing});
    json["severity"] = NameOf(alert.severity);
    json["subjects"] = alert.subjects;
    json["fired"] = alert.fired.time_since_epoch().count();
    json["threshold"] = alert.threshold;
    json["for"] = alert.for_at_least.count();
    many.push_back(std::move(json));
  }
  return {{"followed", std::move(followed)}, {"many", std::move(many)}};
}

void AlertEngine::RestoreTracked(const Json& saved) {
  auto reading = ReadingFromJson(saved);
  const Json* tiers = ListIn(saved, "tiers");
  if (!reading || tiers == nullptr || tracked_.contains(reading->subject)) return;
  std::size_t& of_kind = tracked_of_kind_[static_cast<std::size_t>(reading->subject.kind)];
  if (of_kind >= kSubjectsMax) return;
  Tracked tracked;
  tracked.reading = std::move(*reading);
  for (const Json& each : *tiers) {
    const auto severity = SeverityFromJson(each);
    if (!severity) continue;
    const auto flag = [&](const char* name) { return each.contains(name) && each[name] == true; };
    Tier& tier = tracked.tier(*severity);
    tier.state = flag("firing") ? AlertState::kFiring : AlertState::kPending;
    tier.again = flag("again");
    tier.held = DurationIn(each, "held");
    tier.lapsed = DurationIn(each, "lapsed");
    tier.since = TimeIn(each, "since", now_.wall);
    tier.fired = TimeIn(each, "fired", now_.wall);
    tier.threshold = NumberIn(each, "threshold").value_or(0);
    tier.for_at_least = DurationIn(each, "for");
    ToldPlaces& places = flag("firing") ? places_ : pending_places_;
    const double times = tracked.reading.value / tier.threshold;  // infinity if it has no threshold
    tier.told = flag("told") && places.Take(tracked.reading.subject, *severity, tracked.reading.standing,
                                            std::max(times, 1 / times), now_.monotonic);
    tier.grace = kGrace;
  }
  if (!tracked.active()) return;
  AlertSubject subject = tracked.reading.subject;
  tracked_.emplace(std::move(subject), std::move(tracked));
  ++of_kind;
}

void AlertEngine::Restore(const Json& saved, Moment now) {
  now_ = now;
  if (const Json* followed = ListIn(saved, "followed")) {
    for (const Json& each : *followed) RestoreTracked(each);
  }
  if (const Json* many = ListIn(saved, "many")) {
    for (const Json& each : *many) {
      auto reading = ReadingFromJson(each);
      const auto severity = SeverityFromJson(each);
      if (!reading || !severity) continue;
      Alert alert;
      alert.subject = std::move(reading->subject);
      alert.severity = *severity;
      alert.state = AlertState::kFiring;
      alert.collective = true;
      alert.standing = reading->standing;
      alert.since = alert.fired = TimeIn(each, "fired", now.wall);
      alert.for_at_least = DurationIn(each, "for");
      alert.subjects = static_cast<std::size_t>(std::clamp(NumberIn(each, "subjects").value_or(1), 1.0, 1e6));
      alert.value = reading->value;
      alert.threshold = NumberIn(each, "threshold").value_or(0);
      alert.description = std::move(reading->description);
      alert.evidence = std::move(reading->evidence);
      collectives_.Restore(std::move(alert), kGrace);
    }
  }
  Publish();
  transitions_.clear();
}

}  // namespace conntally
