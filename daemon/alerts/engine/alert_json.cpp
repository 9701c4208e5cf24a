#include "daemon/alerts/engine/alert_json.h"

#include <algorithm>
#include <cmath>

namespace conntally {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kTextBytesMax = 4096;
constexpr std::size_t kFactsMax = 32;
constexpr double kMillisecondsMax = 1e14;  // some 3,000 years

const Json* Member(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

}  // namespace

std::optional<double> NumberIn(const Json& json, const char* name) {
  const Json* member = Member(json, name);
  if (member == nullptr || !member->is_number()) return std::nullopt;
  const double number = member->get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::optional<std::string> TextIn(const Json& json, const char* name) {
  const Json* member = Member(json, name);
  if (member == nullptr || !member->is_string()) return std::nullopt;
  const auto& text = member->get_ref<const std::string&>();
  return text.size() <= kTextBytesMax ? std::optional(text) : std::nullopt;
}

std::chrono::milliseconds DurationIn(const Json& json, const char* name) {
  const double milliseconds = NumberIn(json, name).value_or(0);
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::clamp(milliseconds, 0.0, kMillisecondsMax)));
}

AlertTime TimeIn(const Json& json, const char* name, AlertTime latest) {
  return std::min(AlertTime(DurationIn(json, name)), latest);
}

Json SubjectToJson(const AlertSubject& subject) {
  return {{"alert", NameOf(subject.kind)}, {"source", subject.source}, {"rule", subject.rule}};
}

std::optional<AlertSubject> SubjectFromJson(const Json& json) {
  const auto name = TextIn(json, "alert"), source = TextIn(json, "source"), rule = TextIn(json, "rule");
  if (!name || !source || !rule) return std::nullopt;
  const auto kind = FindAlertKind(*name);
  if (!kind) return std::nullopt;
  return AlertSubject{*kind, *source, *rule};
}

// Infinity and NaN become null in JSON: such a fact is omitted.
Json FactsToJson(const std::vector<AlertFact>& facts) {
  Json json = Json::object();
  for (const AlertFact& fact : facts) std::visit([&](const auto& value) { json[fact.name] = value; }, fact.value);
  return json;
}

std::vector<AlertFact> FactsFromJson(const Json& json) {
  std::vector<AlertFact> facts;
  if (!json.is_object()) return facts;
  for (const auto& [name, value] : json.items()) {
    if (facts.size() == kFactsMax || name.size() > kTextBytesMax) break;
    if (const auto number = NumberIn(json, name.c_str())) facts.push_back({name, *number});
    if (const auto text = TextIn(json, name.c_str())) facts.push_back({name, *text});
  }
  return facts;
}

std::optional<Severity> SeverityFromJson(const Json& json) {
  const auto name = TextIn(json, "severity");
  for (const Severity severity : {Severity::kInfo, Severity::kWarning, Severity::kCritical}) {
    if (name == NameOf(severity)) return severity;
  }
  return std::nullopt;
}

std::optional<Standing> StandingFromJson(const Json& json) {
  const auto number = NumberIn(json, "standing");
  if (!number || *number < 0 || *number > static_cast<double>(Standing::kHost)) return std::nullopt;
  return static_cast<Standing>(static_cast<int>(*number));
}

}  // namespace conntally
