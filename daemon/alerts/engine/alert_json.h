// An alert's parts as they stand in the state file. What is read there may be anything: each Read answers nullopt for
// what no daemon writes. Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "daemon/alerts/kinds/alert.h"

namespace conntally {

nlohmann::json SubjectToJson(const AlertSubject& subject);
std::optional<AlertSubject> SubjectFromJson(const nlohmann::json& json);

nlohmann::json FactsToJson(const std::vector<AlertFact>& facts);
std::vector<AlertFact> FactsFromJson(const nlohmann::json& json);

std::optional<Severity> SeverityFromJson(const nlohmann::json& json);
std::optional<Standing> StandingFromJson(const nlohmann::json& json);

// Members of an object, of the right type and size; nullopt: not there, or of another.
std::optional<double> NumberIn(const nlohmann::json& json, const char* name);
std::optional<std::string> TextIn(const nlohmann::json& json, const char* name);
// Never after `latest`: a clock that was set back makes no alert begin in the future.
AlertTime TimeIn(const nlohmann::json& json, const char* name, AlertTime latest);
std::chrono::milliseconds DurationIn(const nlohmann::json& json, const char* name);

}  // namespace conntally
