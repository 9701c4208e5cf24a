#include "daemon/api/sources/sources_api.h"

#include <nlohmann/json.hpp>

#include "daemon/api/alerts_api.h"
#include "daemon/api/status_api.h"
#include "daemon/drops/drop_collector.h"
#include "daemon/http/target.h"
#include "daemon/rules/rule_collector.h"
#include "test/support/catch.h"
#include "test/unit/daemon/observation/exported/filled_tally.h"
#include "test/unit/daemon/observation/snapshot/full_snapshot.h"

using namespace conntally;
using namespace conntally::test;
using Json = nlohmann::json;

namespace {

// An observer of a filled tally; its collectors are not started.
struct Observed {
  explicit Observed(const Config& config = {})
      : conntrack({.grouping = {}, .network_namespace_path = "/nonexistent/\xFF"}, filled.tally),
        table("/nonexistent/\xFF"),
        rules({}, "/nonexistent"),
        drops({}),
        nat({.grouping = {},
             .network_namespace_path = "/nonexistent",
             .rules = [] { return nullptr; },
             .translations_seen = [] { return 0U; }}),
        observer(config, filled.tally, conntrack, table, rules, drops, nat, {&conntrack, &table, &rules, &drops}) {}

  Json Sources(const std::string& query, int* pieces = nullptr) {
    const http::Response response = AnswerSources(observer, http::ParseTarget("/api/v1/sources?" + query).value());
    REQUIRE(response.status == 200);
    const auto& stream = std::get<http::BodyStream>(response.body);
    std::string body;
    for (std::string piece = stream(); !piece.empty(); piece = stream()) {
      body += piece;
      if (pieces != nullptr) ++*pieces;
    }
    CHECK(stream().empty());
    return Json::parse(body);
  }

  FilledTally filled;
  ConntrackCollector conntrack;
  TableCollector table;
  RuleCollector rules;
  DropCollector drops;
  NatCollector nat;
  Observer observer;
};

double SumOf(const Snapshot& snapshot) {
  double sum = static_cast<double>(snapshot.other_connections);
  for (const ExportedSource& source : snapshot.exported) sum += static_cast<double>(source.figures.connections);
  return sum;
}

}  // namespace

TEST_CASE("sources are answered in the contract's words") {
  Config config;
  config.limits = {{*Prefix::Parse("0.0.0.0/0"), 0}, {*Prefix::Parse("192.0.2.0/24"), 20}};
  Observed observed(config);
  observed.filled.Open("192.0.2.7", 12, 3);
  observed.filled.Open("2001:db8::1", 1);
  const Json answer = observed.Sources("");
  CHECK(answer.at("total") == 2);
  CHECK(answer.at("synced") == false);
  const Json& first = answer.at("sources").at(0);
  CHECK(first.at("source") == "192.0.2.7");
  CHECK(first.at("connections") == 12);
  CHECK(first.at("unreplied") == 3);
  CHECK(first.at("opened") == 12);
  CHECK(first.at("closed") == 0);
  CHECK(first.at("destination_ports") == 0);
  CHECK(
      first.at("limits") ==
      Json::parse(
          R"([{"origin": "config", "connections": 20, "counted": 12, "usage": 0.6, "approximate": false, "rule": null}])"));
  CHECK(first.at("drops") == Json::array());
  CHECK(first.at("first_seen").get<std::string>().ends_with("Z"));
  CHECK(answer.at("sources").at(1).at("limits").empty());
}

TEST_CASE("no source at all is a list without any, and a long list comes in pieces") {
  Observed observed;
  CHECK(observed.Sources("").at("sources").empty());
  for (int i = 0; i < 300; ++i)
    observed.filled.Open("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256), 1);
  int pieces = 0;
  CHECK(observed.Sources("limit=1000", &pieces).at("sources").size() == 300);
  CHECK(pieces == 3);
  CHECK(observed.Sources("limit=128").at("sources").size() == 128);
  CHECK(observed.Sources("limit=128").at("total") == 300);
}

TEST_CASE("sources of a prefix are those within, and the group that holds an address") {
  Config config;
  config.sources.ipv4_prefix = 24;
  Observed observed(config);
  observed.filled.Open("192.0.2.0", 5);
  observed.filled.Open("198.51.100.0", 4);
  CHECK(observed.Sources("source=192.0.2.77").at("sources").at(0).at("source") == "192.0.2.0/24");
  CHECK(observed.Sources("source=192.0.2.77").at("total") == 1);
  CHECK(observed.Sources("source=192.0.0.0/16").at("total") == 1);
  CHECK(observed.Sources("source=0.0.0.0/0").at("total") == 2);
  CHECK(observed.Sources("source=203.0.113.0/24").at("total") == 0);
}

TEST_CASE("a bad query is 400 with a JSON error, whatever bytes it has") {
  Observed observed;
  for (const char* query : {"limit=0", "sort=x", "%FF=%FE", "a%22b=1"}) {
    const auto response = AnswerSources(observed.observer, http::ParseTarget(std::string("/?") + query).value());
    CHECK(response.status == 400);
    CHECK(Json::parse(std::get<std::string>(response.body)).at("error").is_string());
  }
}

TEST_CASE("the status is JSON, also when a failure's text is no UTF-8") {
  Observed observed;
  const http::Response response = AnswerStatus(observed.observer.TakeSnapshot());
  CHECK(response.status == 200);
  const Json status = Json::parse(std::get<std::string>(response.body));
  CHECK(status.at("ready") == false);
  CHECK(status.at("table").is_null());
  CHECK(status.at("collectors").at("table").at("success") == false);
  CHECK(status.at("last_reconcile").is_null());
}

TEST_CASE("a snapshot's sources and remainder add up, whatever is exported") {
  Config config;
  config.sources.export_top = GENERATE(0U, 1U, 2U, 50U);
  config.sources.exclude = {*Prefix::Parse("192.0.2.9")};
  Observed observed(config);
  for (int i = 1; i < 20; ++i) observed.filled.Open("192.0.2." + std::to_string(i), i, i / 2);
  const Snapshot snapshot = observed.observer.TakeSnapshot();
  CHECK(SumOf(snapshot) == static_cast<double>(snapshot.totals.ConnectionsSum()));
  CHECK(snapshot.sources == 19);
  CHECK(snapshot.other_sources + snapshot.exported.size() == 19);
  for (const ExportedSource& source : snapshot.exported) CHECK(source.name != "192.0.2.9");
}

TEST_CASE("alerts are answered with their labels, state and evidence") {
  const Snapshot snapshot = FullSnapshot();
  const Json answer = Json::parse(std::get<std::string>(AnswerAlerts(*snapshot.alerts).body));
  CHECK(answer.at("firing") == 2);
  REQUIRE(answer.at("alerts").size() == 5);
  const Json& table = answer.at("alerts").at(0);
  CHECK(table.at("alert") == "ConntrackTableNearlyFull");
  CHECK(table.at("severity") == "critical");
  CHECK(table.at("state") == "firing");
  CHECK(table.at("source").is_null());
  CHECK(table.at("degraded") == false);
  CHECK(table.at("runbook_url").get<std::string>().ends_with("RUNBOOK.md#conntracktablenearlyfull"));
  const Json& drops = answer.at("alerts").at(1);
  CHECK(drops.at("source") == "192.0.2.7");
  CHECK(drops.at("degraded") == true);
  CHECK(drops.at("evidence") == Json::parse(R"({"packets": 516, "via": "ebpf"})"));
  CHECK(answer.at("alerts").at(2).at("state") == "inhibited");
  CHECK(answer.at("alerts").at(3).at("state") == "pending");
  CHECK(answer.at("alerts").at(4).at("state") == "resolved");
  CHECK(Json::parse(std::get<std::string>(AnswerAlerts({}).body)).at("alerts") == Json::array());

  const Json status = Json::parse(std::get<std::string>(AnswerStatus(snapshot).body));
  CHECK(status.at("alerts") == Json::parse(R"({"firing": 2, "critical": 1, "pending": 1, "info": 0})"));
}

TEST_CASE("a fact alone makes no host look alarmed") {
  Snapshot snapshot = FullSnapshot();
  Alert fact;
  fact.subject = {AlertKind::kSourceMatchesDropRule, "192.0.2.7", {}};
  fact.severity = Severity::kInfo;
  fact.state = AlertState::kFiring;
  AlertFigures figures;
  figures.alerts = {fact};
  snapshot.alerts = std::make_shared<AlertFigures>(figures);
  const Json answer = Json::parse(std::get<std::string>(AnswerAlerts(figures).body));
  CHECK(answer.at("firing") == 0);
  CHECK(answer.at("info") == 1);
  CHECK(answer.at("alerts").at(0).at("severity") == "info");
  const Json status = Json::parse(std::get<std::string>(AnswerStatus(snapshot).body));
  CHECK(status.at("alerts") == Json::parse(R"({"firing": 0, "critical": 0, "pending": 0, "info": 1})"));
}

TEST_CASE("what is gathered for the alerts leaves out excluded sources, and keeps limits that are near") {
  Config config;
  config.sources.exclude = {*Prefix::Parse("192.0.2.9")};
  config.sources.export_top = 1;
  config.limits = {{*Prefix::Parse("0.0.0.0/0"), 10}};
  Observed observed(config);
  for (int i = 1; i < 10; ++i) observed.filled.Open("192.0.2." + std::to_string(i), i);
  const AlertEvidence evidence = observed.observer.GatherEvidence(AlertRules(config.alerts));
  REQUIRE(evidence.sources.size() == 8);
  for (const AlertEvidence::Source& source : evidence.sources) {
    CHECK(source.name != "192.0.2.9");
    CHECK(source.limits.size() == (source.figures.connections >= 8 ? 1U : 0U));
  }
  CHECK_FALSE(evidence.table);
  CHECK(evidence.failing.contains("table"));
}
