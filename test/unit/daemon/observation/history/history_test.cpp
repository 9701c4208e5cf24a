#include "daemon/observation/history/history.h"

#include <nlohmann/json.hpp>

#include "daemon/observation/history/history_sources.h"
#include "daemon/observation/history/recent_rates.h"
#include "test/support/catch.h"
#include "test/unit/daemon/observation/exported/filled_tally.h"

using namespace conntally;
using namespace conntally::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

IpAddress Address(const std::string& text) { return IpAddress::Parse(text).value(); }
std::chrono::sys_seconds At(std::size_t sample) {
  return std::chrono::sys_seconds(1'000'000s + sample * History::kInterval);
}

}  // namespace

TEST_CASE("rates are of the last ten seconds, whatever was before") {
  RecentRates rates;
  const RecentRates::Time start{};
  CHECK(rates.PerSecond().opened == 0);
  std::uint64_t opened = 0;
  for (int second = 0; second <= 60; ++second) {
    opened += second < 40 ? 1000 : 5;
    rates.Add(start + std::chrono::seconds(second), {.opened = opened});
  }
  CHECK(rates.PerSecond().opened == Approx(5));
  CHECK(rates.PerSecond().closed == 0);
  rates.Add(start + 61s, {.opened = 3});
  CHECK(rates.PerSecond().opened == 0);  // it began anew
}

TEST_CASE("samples closer than a second neither fill memory nor bend the rate") {
  RecentRates rates;
  for (int i = 0; i <= 100'000; ++i)
    rates.Add(RecentRates::Time{} + std::chrono::milliseconds(i), {.opened = static_cast<std::uint64_t>(i)});
  CHECK(rates.PerSecond().opened == Approx(1000).epsilon(0.01));
}

TEST_CASE("the history holds the last hour, in order, and no more") {
  History history;
  CHECK(Json::parse(history.Json()).at("times").empty());
  for (std::size_t i = 0; i < History::kSamples + 5; ++i) {
    HistorySample sample;
    sample.entries = i;
    sample.limit = 1000;
    sample.rates.opened = static_cast<double>(i) / 4;
    sample.connections[static_cast<std::size_t>(StateGroup::kUdpReplied)] = static_cast<std::int64_t>(i);
    history.Add(At(i), sample, {});
  }
  const Json json = Json::parse(history.Json());
  REQUIRE(json.at("times").size() == History::kSamples);
  CHECK(json.at("times").front() == 1'000'050);
  CHECK(json.at("times").back() == 1'000'000 + 10 * (History::kSamples + 4));
  CHECK(json.at("entries").front() == 5);
  CHECK(json.at("entries").back() == History::kSamples + 4);
  CHECK(json.at("opened_per_second").front() == 1.25);
  CHECK(json.at("connections_udp_replied").back() == History::kSamples + 4);
}

TEST_CASE("what the kernel did not tell is null, not zero") {
  History history;
  history.Add(At(0), {}, {});
  CHECK(Json::parse(history.Json()).at("entries").at(0).is_null());
}

TEST_CASE("a source has points where it stood out, and none elsewhere") {
  History history;
  history.Add(At(0), {}, {});
  history.Add(At(1), {}, {{.source = Address("192.0.2.1"), .connections = 7, .new_rate = 1.5, .drop_rate = 2}});
  history.Add(At(2), {}, {});
  const Json json = Json::parse(history.Json(Address("192.0.2.1"), "192.0.2.1"));
  CHECK(json.at("connections") == Json::parse("[null, 7, null]"));
  CHECK(json.at("new_rate").at(1) == 1.5);
  CHECK(json.at("drop_rate").at(1) == 2);
  CHECK(Json::parse(history.Json(Address("192.0.2.2"), "192.0.2.2")).at("times").empty());
}

TEST_CASE("a source that was forgotten for its age does not come back with old points") {
  History history;
  const SourceSample sample{.source = Address("192.0.2.1"), .connections = 7};
  history.Add(At(0), {}, {sample});
  for (std::size_t i = 1; i <= History::kSamples; ++i) history.Add(At(i), {}, {});
  CHECK(Json::parse(history.Json(sample.source, "")).at("times").empty());
}

TEST_CASE("the source not seen for longest makes room") {
  History history;
  const auto source = [](std::size_t i) {
    return Address("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256));
  };
  for (std::size_t i = 0; i <= History::kSourcesMax; ++i)
    history.Add(At(i), {}, {{.source = source(i), .connections = 1}});
  CHECK(Json::parse(history.Json(source(0), "")).at("times").empty());
  CHECK(!Json::parse(history.Json(source(1), "")).at("times").empty());
  CHECK(!Json::parse(history.Json(source(History::kSourcesMax), "")).at("times").empty());
}

TEST_CASE("those stand out that have the most of something") {
  FilledTally filled;
  for (int i = 1; i <= 200; ++i) filled.Open("10.0.0." + std::to_string(i), i);
  std::uint64_t sources = 0;
  const auto found =
      SourcesThatStandOut(filled.View(), {{Address("203.0.113.9"), 4.0}, {Address("10.0.0.3"), 9.0}}, sources);
  CHECK(sources == 200);
  CHECK(found.size() == 34);
  const auto of = [&](const std::string& name) {
    return std::find_if(found.begin(), found.end(),
                        [&](const SourceSample& sample) { return sample.source == Address(name); });
  };
  REQUIRE(of("10.0.0.200") != found.end());
  CHECK(of("10.0.0.200")->connections == 200);
  CHECK(of("10.0.0.169") != found.end());
  CHECK(of("10.0.0.168") == found.end());
  CHECK(of("203.0.113.9")->drop_rate == 4);
  CHECK(of("10.0.0.3")->connections == 3);
}

TEST_CASE("states are grouped without losing a connection") {
  TotalFigures totals;
  for (std::size_t i = 0; i < FlowStateIndex::kCount; ++i) totals.connections[i] = 1;
  std::int64_t sum = 0;
  for (const std::int64_t group : GroupStates(totals)) sum += group;
  CHECK(sum == static_cast<std::int64_t>(FlowStateIndex::kCount));
  CHECK(GroupOf(FlowStateIndex::Tcp(1)) == StateGroup::kTcpOpening);
  CHECK(GroupOf(FlowStateIndex::Tcp(7)) == StateGroup::kTcpClosing);
  CHECK(GroupOf(FlowStateIndex::Other(17, false)) == StateGroup::kUdpUnreplied);
}
