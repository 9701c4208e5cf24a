#include "daemon/observation/exported/exported_destinations.h"

#include <numeric>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

const ExportedDestinations::Clock::time_point kStart{1h};

Destination To(std::uint16_t port) { return {*IpAddress::Parse("192.0.2.1"), port, 6}; }

std::shared_ptr<const DestinationFigures> Survey(const std::vector<std::pair<std::uint16_t, std::uint32_t>>& counts,
                                                 std::uint32_t unreplied = 0) {
  auto survey = std::make_shared<DestinationFigures>();
  for (const auto& [port, connections] : counts) {
    survey->destinations.push_back({To(port), connections, std::min(unreplied, connections)});
    survey->connections += connections;
  }
  return survey;
}

std::vector<std::uint16_t> Ports(const ExportedDestinations::Split& split) {
  std::vector<std::uint16_t> ports;
  for (const ExportedDestination& each : split.exported) ports.push_back(each.destination.port);
  return ports;
}

std::int64_t Sum(const ExportedDestinations::Split& split) {
  return std::accumulate(split.exported.begin(), split.exported.end(), split.others,
                         [](std::int64_t sum, const ExportedDestination& each) { return sum + each.connections; });
}

using PortList = std::vector<std::uint16_t>;

}  // namespace

TEST_CASE("the first destinations by connections are exported, and the others are the remainder") {
  ExportedDestinations exported({.top = 2, .hold = 0s});
  exported.Update(nullptr, kStart);
  CHECK(exported.Divide(70).others == 70);
  exported.Update(Survey({{80, 10}, {443, 30}, {22, 20}, {25, 20}}, 5), kStart);
  const auto split = exported.Divide(83);
  CHECK(Ports(split) == PortList{22, 443});
  CHECK(split.exported[0].unreplied == 5);
  CHECK(split.others == 33);
}

TEST_CASE("the sum is what there is now, however much has ended since the survey, and nothing is below zero") {
  ExportedDestinations exported({.top = 10, .hold = 0s});
  exported.Update(Survey({{80, 10}, {443, 30'000'000}, {22, 21}, {25, 3}}, 2), kStart);
  for (const std::int64_t connections : {40'000'000, 30'000'034, 30'000'033, 29'999'999, 1000, 7, 1, 0}) {
    const auto split = exported.Divide(connections);
    CHECK(Sum(split) == connections);
    CHECK(split.others >= 0);
    for (const ExportedDestination& each : split.exported) {
      CHECK(each.connections >= 0);
      CHECK(each.unreplied <= each.connections);
    }
  }
}

TEST_CASE("one that left the top keeps its series for a while, with what it has by then") {
  ExportedDestinations exported({.top = 1, .hold = 300s});
  exported.Update(Survey({{80, 10}, {443, 9}}), kStart);
  exported.Update(Survey({{80, 3}, {443, 9}}), kStart + 1s);
  exported.Update(Survey({{80, 3}, {443, 9}}), kStart + 2s);
  CHECK(Ports(exported.Divide(12)) == PortList{80, 443});
  CHECK(exported.Divide(12).others == 0);
  exported.Update(Survey({{443, 9}}), kStart + 3s);
  CHECK(exported.Divide(9).exported[0].connections == 0);
  exported.Update(Survey({{443, 9}}), kStart + 301s);
  CHECK(Ports(exported.Divide(9)) == PortList{443});
}

TEST_CASE("of one that has no place in the survey any more nothing is said") {
  ExportedDestinations exported({.top = 1, .hold = 300s});
  exported.Update(Survey({{80, 10}}), kStart);
  auto crowded = std::make_shared<DestinationFigures>(*Survey({{443, 9}}));
  crowded->whole = false;
  exported.Update(crowded, kStart + 1s);
  CHECK(Ports(exported.Divide(12)) == PortList{443});
  CHECK(exported.Divide(12).others == 3);
}

TEST_CASE("a new top applies at once, a top of none exports nothing") {
  ExportedDestinations exported({.top = 0, .hold = 0s});
  const auto survey = Survey({{80, 10}, {443, 9}});
  exported.Update(survey, kStart);
  CHECK(Ports(exported.Divide(19)).empty());
  exported.set_options({.top = 2, .hold = 0s});
  exported.Update(survey, kStart + 1s);
  exported.Update(survey, kStart + 2s);
  CHECK(Ports(exported.Divide(19)) == PortList{80, 443});
  exported.set_options({.top = 0, .hold = 0s});
  exported.Update(survey, kStart + 3s);
  CHECK(Ports(exported.Divide(19)).empty());
}

TEST_CASE("destinations of a scan get series within the budget, and one that answers beside them its own") {
  ExportedDestinations exported({.top = 20, .hold = 0s, .new_max_per_hour = 60});
  std::uint64_t seen = 0;
  for (int second = 0; second < 1800; ++second) {
    std::vector<std::pair<std::uint16_t, std::uint32_t>> counts;
    for (int i = 0; i < 20; ++i) counts.emplace_back(static_cast<std::uint16_t>(1000 + second * 20 + i), 50);
    auto survey = std::make_shared<DestinationFigures>(*Survey(counts, 50));
    if (second > 1000) survey->destinations.push_back({To(443), 60});
    exported.Update(survey, kStart + std::chrono::seconds(second));
    seen += exported.Divide(10'000).exported.size();
  }
  CHECK(seen > 0);
  CHECK(exported.held_back() == 0);  // none of them stayed
  const auto ports = Ports(exported.Divide(10'000));
  CHECK(std::count(ports.begin(), ports.end(), 443) == 1);
}
