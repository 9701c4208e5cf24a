// An alert's parts in the state file. The file may contain anything: each Read returns nullopt for what no daemon
// writes. Pure; any thread.
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

// Members of an object; nullopt: absent, or of the wrong type or size.
std::optional<double> NumberIn(const nlohmann::json& json, const char* name);
std::optional<std::string> TextIn(const nlohmann::json& json, const char* name);
// Never after `latest`: so no alert begins in the future after the clock was set back.
AlertTime TimeIn(const nlohmann::json& json, const char* name, AlertTime latest);
std::chrono::milliseconds DurationIn(const nlohmann::json& json, const char* name);

}  // namespace conntally
