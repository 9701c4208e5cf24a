#include "daemon/alerts/alertmanager/alertmanager_outbox.h"

#include <nlohmann/json.hpp>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;
using Json = nlohmann::json;
using Outbox = AlertmanagerOutbox;

namespace {

// An outbox whose Alertmanager is there or away, looked at once a second. `heard` is what it was told, in order: "+a"
// fires, "-a" ended.
struct Exchange {
  void Look(const std::vector<std::string>& sources) {
    now.monotonic += 1s;
    now.wall += 1s;
    AlertList alerts;
    for (const std::string& source : sources) {
      Alert alert;
      const bool inhibited = source.starts_with('~');
      alert.subject = {AlertKind::kSourceScanning, inhibited ? source.substr(1) : source, {}};
      alert.state = AlertState::kFiring;
      alert.inhibited = inhibited;
      alert.fired = fired;
      alert.for_at_least = 30s;
      alerts.push_back(alert);
    }
    outbox.Update(alerts, external, now);
    while (const auto message = outbox.Next(now)) {
      ++tries;
      last = Json::parse(message->body);
      CHECK(last.size() == message->keys.size());
      if (refuse(last)) {
        outbox.Failed(*message, Outbox::Refusal::kRefused, now);
      } else if (away) {
        outbox.Failed(*message, Outbox::Refusal::kNotReached, now);
      } else {
        outbox.Delivered(*message, now);
        for (std::size_t i = 0; i < last.size(); ++i)
          heard.push_back((message->ends[i] ? "-" : "+") + last[i]["labels"]["source"].get<std::string>());
      }
    }
  }
  void LookFor(std::chrono::seconds duration, const std::vector<std::string>& sources) {
    for (auto i = 0s; i < duration; ++i) Look(sources);
  }

  Outbox outbox;
  Outbox::Labels external = {{"instance", "gateway"}, {"site", "berlin"}};
  Outbox::Moment now{std::chrono::steady_clock::time_point(1h), AlertTime(1'700'000'000s)};
  AlertTime fired{1'700'000'000s};
  bool away = false;
  std::function<bool(const Json&)> refuse = [](const Json&) { return false; };
  std::vector<std::string> heard;
  int tries = 0;
  Json last;
};

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("an alert is told when it fires, each minute while it does, and once when it ends") {
  Exchange exchange;
  exchange.LookFor(130s, {"a"});
  CHECK(exchange.heard == Strings{"+a", "+a", "+a"});
  exchange.LookFor(130s, {});
  CHECK(exchange.heard == Strings{"+a", "+a", "+a", "-a"});
  CHECK(exchange.outbox.size() == 0);
}

TEST_CASE("a message has labels, annotations and times as Alertmanager takes them") {
  Exchange exchange;
  exchange.Look({"a"});
  const Json& alert = exchange.last.at(0);
  CHECK(alert.at("labels") ==
        Json::parse(R"({"alertname": "SourceScanning", "alert": "SourceScanning", "severity": "warning", "source": "a",
                                              "instance": "gateway", "site": "berlin"})"));
  CHECK(alert.at("startsAt") == "2023-11-14T22:13:20.000Z");
  CHECK(alert.at("endsAt") == "2023-11-14T22:17:51.000Z");  // 4 min and its `for` from now
  CHECK(alert.at("annotations").at("runbook_url").get<std::string>().ends_with("#sourcescanning"));
  exchange.Look({});
  CHECK(exchange.last.at(0).at("endsAt") == "2023-11-14T22:13:22.000Z");
}

TEST_CASE("what is told stays valid over two missed tellings and a restart") {
  CHECK(Outbox::kValidFor >= 3 * Outbox::kResendAfter + 30s);
}

TEST_CASE("an end that could not be told is told when the Alertmanager is back, once") {
  Exchange exchange;
  exchange.LookFor(10s, {"a", "b"});
  exchange.away = true;
  exchange.LookFor(10s, {"a", "b"});
  exchange.LookFor(600s, {"b"});
  exchange.away = false;
  exchange.LookFor(40s, {"b"});
  exchange.heard.erase(std::remove(exchange.heard.begin(), exchange.heard.end(), "+b"), exchange.heard.end());
  CHECK(exchange.heard == Strings{"+a", "-a"});
}

TEST_CASE("one that came and went while the Alertmanager was away is told as both, apart") {
  Exchange exchange;
  exchange.away = true;
  exchange.LookFor(60s, {"a"});
  exchange.LookFor(60s, {});
  exchange.away = false;
  exchange.LookFor(50s, {});
  CHECK(exchange.heard == Strings{"+a"});
  exchange.LookFor(60s, {});
  CHECK(exchange.heard == Strings{"+a", "-a"});
}

TEST_CASE("one that came and went long ago is not told any more") {
  Exchange exchange;
  exchange.away = true;
  exchange.LookFor(60s, {"a"});
  exchange.LookFor(1000s, {});
  exchange.away = false;
  exchange.LookFor(100s, {});
  CHECK(exchange.heard.empty());
  CHECK(exchange.outbox.size() == 0);
}

TEST_CASE("one that went and came back while the Alertmanager was away has not ended") {
  Exchange exchange;
  exchange.LookFor(10s, {"a"});
  exchange.away = true;
  exchange.LookFor(30s, {});
  exchange.LookFor(30s, {"a"});
  exchange.away = false;
  exchange.LookFor(40s, {"a"});
  for (const std::string& told : exchange.heard) CHECK(told == "+a");
}

TEST_CASE("failures are followed by longer and longer pauses") {
  Exchange exchange;
  exchange.away = true;
  exchange.LookFor(300s, {"a"});
  CHECK(exchange.tries > 8);
  CHECK(exchange.tries < 20);
  exchange.away = false;
  exchange.LookFor(31s, {"a"});
  CHECK(exchange.heard == Strings{"+a"});
}

TEST_CASE("an inhibited alert is not told, one that was told before is kept alive") {
  Exchange exchange;
  exchange.LookFor(200s, {"~a"});
  exchange.LookFor(10s, {});
  CHECK(exchange.heard.empty());
  exchange.LookFor(10s, {"b"});
  exchange.LookFor(60s, {"~b"});
  CHECK(exchange.heard == Strings{"+b", "+b"});
  exchange.Look({});
  CHECK(exchange.heard == Strings{"+b", "+b", "-b"});
}

TEST_CASE("an alert that is refused does not keep the others from being heard") {
  Exchange exchange;
  exchange.refuse = [](const Json& body) {
    return std::any_of(body.begin(), body.end(), [](const Json& alert) { return alert["labels"]["source"] == "bad"; });
  };
  exchange.LookFor(120s, {"a", "bad", "c"});
  CHECK(std::count(exchange.heard.begin(), exchange.heard.end(), "+a") >= 1);
  CHECK(std::count(exchange.heard.begin(), exchange.heard.end(), "+c") >= 1);
  exchange.LookFor(1200s, {"a", "bad", "c"});
  CHECK(exchange.outbox.given_up() == 1);  // though it is tried again and again
}

TEST_CASE("a clock that was set back makes no alert end before it began") {
  Exchange exchange;
  exchange.fired = AlertTime(1'800'000'000s);
  exchange.Look({"a"});
  CHECK(exchange.last.at(0).at("startsAt").get<std::string>() < exchange.last.at(0).at("endsAt").get<std::string>());
  exchange.Look({});
  CHECK(exchange.last.at(0).at("startsAt").get<std::string>() < exchange.last.at(0).at("endsAt").get<std::string>());
}

TEST_CASE("other external labels are another alert: the old one ends") {
  Exchange exchange;
  exchange.Look({"a"});
  exchange.external["site"] = "paris";
  exchange.Look({"a"});
  CHECK(exchange.heard == Strings{"+a", "-a", "+a"});
}

TEST_CASE("at the end of the process only what has ended is told") {
  Exchange exchange;
  exchange.Look({"a", "b"});
  exchange.away = true;
  exchange.LookFor(3s, {"a"});
  const auto message = exchange.outbox.NextEnds(exchange.now);
  REQUIRE(message);
  REQUIRE(message->keys.size() == 1);
  CHECK(Json::parse(message->body)[0]["labels"]["source"] == "b");
  exchange.outbox.Delivered(*message, exchange.now);
  CHECK_FALSE(exchange.outbox.NextEnds(exchange.now));
}

TEST_CASE("what is not delivered is bounded, and counted") {
  Exchange exchange;
  exchange.away = true;
  for (int i = 0; i < 50; ++i) {
    Strings sources;
    for (int k = 0; k < 100; ++k) sources.push_back("source" + std::to_string(i * 100 + k));
    exchange.Look(sources);
  }
  CHECK(exchange.outbox.size() == Outbox::kEntriesMax);
  CHECK(exchange.outbox.given_up() == 1000);
}
