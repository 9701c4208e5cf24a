#include "daemon/api/alerts_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/api/values/timestamp.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;

Json TimeJson(AlertTime time) {
  if (time == AlertTime{}) return nullptr;
  return Rfc3339(std::chrono::floor<std::chrono::seconds>(time));
}

Json TextJson(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json AlertJson(const Alert& alert) {
  Json evidence = Json::object();
  for (const AlertFact& fact : alert.evidence) {
    std::visit([&](const auto& value) { evidence[fact.name] = value; }, fact.value);
  }
  return {{"alert", NameOf(alert.subject.kind)},
          {"severity", NameOf(alert.severity)},
          {"state", alert.inhibited ? "inhibited" : NameOf(alert.state)},
          {"source", TextJson(alert.subject.source)},
          {"rule", TextJson(alert.subject.rule)},
          {"subjects", alert.subjects},
          {"inhibited_by", !alert.inhibited ? Json(nullptr) : Json(NameOf(alert.cause.value_or(alert.subject.kind)))},
          {"since", TimeJson(alert.since)},
          {"fired", TimeJson(alert.fired)},
          {"value", alert.value},
          {"threshold", alert.threshold},
          {"summary", SummaryOf(alert.subject.kind)},
          {"description", alert.description},
          {"evidence", std::move(evidence)},
          {"runbook_url", RunbookUrl(alert.subject.kind)},
          {"degraded", !alert.degraded.empty()},
          {"degraded_by", TextJson(alert.degraded)}};
}

}  // namespace

http::Response AnswerAlerts(const AlertFigures& figures) {
  Json alerts = Json::array();
  for (const Alert& alert : figures.alerts) alerts.push_back(AlertJson(alert));
  const auto count = [&](auto&& holds) { return std::count_if(figures.alerts.begin(), figures.alerts.end(), holds); };
  Json answer = {{"alerts", std::move(alerts)}};
  answer["firing"] = count([](const Alert& alert) { return alert.alarms(); });
  answer["info"] = count([](const Alert& alert) { return alert.visible_firing() && !alert.alarms(); });
  answer["turned_away"] = figures.turned_away;
  return {.content_type = http::kJsonContentType,
          .body = answer.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

}  // namespace conntally
