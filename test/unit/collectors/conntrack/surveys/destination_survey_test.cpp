#include "collectors/conntrack/surveys/destination_survey.h"

#include <algorithm>
#include <map>
#include <random>

#include "test/support/catch.h"

using namespace conntally;

namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17;

struct Surveyed {
  explicit Surveyed(std::size_t destinations_max = DestinationSurvey::kDestinationsMax,
                    std::size_t pairs_max = DestinationSurvey::kPairsMax, SourceGrouping grouping = {})
      : survey(grouping, hash, destinations_max, pairs_max) {}

  FlowKey Add(const std::string& source, const std::string& destination, std::uint16_t port, std::uint8_t protocol,
              bool replied = true, double age = 100) {
    FlowKey key;
    key.source = IpAddress::Parse(source)->bytes;
    key.destination = IpAddress::Parse(destination)->bytes;
    key.family = IpAddress::Parse(destination)->family;
    key.source_port = ++source_port_;
    key.zone = static_cast<std::uint16_t>(source_port_ == 0 ? ++zone_ : zone_);
    key.destination_port = port;
    key.protocol = protocol;
    Flow* flow = table.Insert(key, table.Hash(key));
    REQUIRE(flow != nullptr);
    flow->replied = replied;
    flow->opening_known = true;
    flow->opened_centiseconds = now.centiseconds - static_cast<std::int32_t>(age * 100);
    return key;
  }
  void Remove(const FlowKey& key) { table.Erase(*table.Find(key, table.Hash(key)), key.family, table.Hash(key)); }

  const DestinationFigures& Survey() {
    clock += std::chrono::hours(1);
    while (survey.Step(table, now, clock)) {
    }
    last = survey.last();
    return *last;
  }
  const DestinationFigures::OfDestination* Find(const std::string& address, std::uint16_t port, std::uint8_t protocol) {
    const Destination wanted{*IpAddress::Parse(address), port, protocol};
    const auto found = std::find_if(last->destinations.begin(), last->destinations.end(),
                                    [&](const auto& each) { return each.destination == wanted; });
    return found == last->destinations.end() ? nullptr : &*found;
  }

  KeyedHash hash = KeyedHash::WithRandomSecret();
  FlowTable table{1'000'000, hash};
  DestinationSurvey survey;
  TrackerTime now{100'000, 0};
  DestinationSurvey::Clock::time_point clock{};
  std::shared_ptr<const DestinationFigures> last;

 private:
  std::uint16_t source_port_ = 0;
  std::uint16_t zone_ = 0;
};

}  // namespace

TEST_CASE("connections are counted by destination, port and protocol, and what has no port by its address") {
  Surveyed s;
  for (int i = 0; i < 7; ++i) s.Add("10.0.0.1", "192.0.2.1", 443, kTcp, i > 1, i);
  for (int i = 0; i < 5; ++i) s.Add("10.0.0.2", "192.0.2.1", 443, kUdp, false);
  s.Add("10.0.0.1", "192.0.2.1", 80, kTcp);
  s.Add("10.0.0.1", "192.0.2.9", 0x0800, kIcmp);  // an echo request: its type is no port
  s.Add("10.0.0.1", "192.0.2.9", 0x0d00, kIcmp);
  s.Add("2001:db8::1", "2001:db8::c000:201", 443, kTcp);
  const DestinationFigures& figures = s.Survey();
  CHECK(figures.connections == 16);
  CHECK(figures.whole);
  CHECK(figures.destinations.size() == 5);
  REQUIRE(s.Find("192.0.2.1", 443, kTcp) != nullptr);
  CHECK(s.Find("192.0.2.1", 443, kTcp)->connections == 7);
  CHECK(s.Find("192.0.2.1", 443, kTcp)->unreplied == 2);
  CHECK(s.Find("192.0.2.1", 443, kUdp)->unreplied == 5);
  CHECK(s.Find("192.0.2.9", 0, kIcmp)->connections == 2);
  CHECK(s.Find("2001:db8::c000:201", 443, kTcp)->connections == 1);
}

TEST_CASE("what opened within ten seconds is the rate of new connections") {
  Surveyed s;
  for (int i = 0; i < 20; ++i) s.Add("10.0.0.1", "192.0.2.1", 443, kTcp, true, i + 0.5);
  s.Survey();
  CHECK(s.Find("192.0.2.1", 443, kTcp)->new_rate() == Approx(1.0));
  s.now.centiseconds += 2000;
  s.Survey();
  CHECK(s.Find("192.0.2.1", 443, kTcp)->new_rate() == 0);
}

TEST_CASE("the sources with most connections are named, the most first, as they are grouped") {
  const bool grouped = GENERATE(false, true);
  Surveyed s(1000, 10'000, {static_cast<std::uint8_t>(grouped ? 24 : 32), 128});
  for (int source = 1; source <= 40; ++source) {
    for (int i = 0; i < source; ++i) {
      s.Add("10.0." + std::to_string(source) + ".9", "192.0.2.1", 443, kTcp);
      s.Add("10.0." + std::to_string(41 - source) + ".9", "192.0.2.2", 443, kTcp);
    }
  }
  s.Survey();
  const auto* first = s.Find("192.0.2.1", 443, kTcp);
  const auto* second = s.Find("192.0.2.2", 443, kTcp);
  for (std::size_t i = 0; i < first->sources.size(); ++i) {
    const std::string host = grouped ? ".0" : ".9";
    CHECK(first->sources[i].connections == 40 - i);
    CHECK(first->sources[i].address.ToString() == "10.0." + std::to_string(40 - i) + host);
    CHECK(second->sources[i].connections == 40 - i);
    CHECK(second->sources[i].address.ToString() == "10.0." + std::to_string(1 + i) + host);
  }
}

TEST_CASE("figures equal a model while connections come and go between surveys") {
  Surveyed s;
  std::mt19937 random(7);
  std::vector<std::pair<FlowKey, bool>> there;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 3000; ++i) {
      const bool replied = random() % 3 != 0;
      const std::string destination = "198.51." + std::to_string(random() % 4) + "." + std::to_string(random() % 200);
      there.emplace_back(s.Add("10.0.0." + std::to_string(random() % 9), destination,
                               static_cast<std::uint16_t>(random() % 3), random() % 2 ? kTcp : kUdp, replied),
                         replied);
    }
    std::shuffle(there.begin(), there.end(), random);
    for (int i = 0; i < 1000; ++i, there.pop_back()) s.Remove(there.back().first);

    std::map<Destination, std::pair<std::uint32_t, std::uint32_t>> model;
    std::map<Destination, std::map<IpAddress, std::uint32_t>> sources;
    for (const auto& [key, replied] : there) {
      const Destination destination{{key.destination, key.family}, key.destination_port, key.protocol};
      ++model[destination].first;
      model[destination].second += !replied;
      ++sources[destination][key.SourceAddress()];
    }
    const DestinationFigures& figures = s.Survey();
    CHECK(figures.connections == there.size());
    REQUIRE(figures.destinations.size() == model.size());
    for (const auto& each : figures.destinations) {
      const auto& expected = model.at(each.destination);
      REQUIRE(std::pair(each.connections, each.unreplied) == expected);
      std::vector<std::uint32_t> most;
      for (const auto& [source, connections] : sources.at(each.destination)) most.push_back(connections);
      std::sort(most.rbegin(), most.rend());
      most.resize(each.sources.size());
      for (std::size_t i = 0; i < most.size(); ++i) {
        REQUIRE(each.sources[i].connections == most[i]);
        if (most[i] != 0) REQUIRE(sources.at(each.destination).at(each.sources[i].address) == most[i]);
      }
    }
  }
}

TEST_CASE("where there is no place for all, the heavy have theirs soon and exactly, and the rest is in the sum") {
  Surveyed s(2000, 20'000);
  std::vector<FlowKey> scan;
  for (int i = 0; i < 20'000; ++i) {
    scan.push_back(
        s.Add("10.9.9.9", "203.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), 22, kTcp, false));
  }
  for (int destination = 1; destination <= 50; ++destination) {
    for (int i = 0; i < 60; ++i)
      s.Add("10.0.0." + std::to_string(destination), "192.0.2." + std::to_string(destination), 443, kTcp);
  }
  for (int i = 0; i < 4; ++i) s.Survey();
  for (int destination = 1; destination <= 50; ++destination) {
    const auto* found = s.Find("192.0.2." + std::to_string(destination), 443, kTcp);
    REQUIRE(found != nullptr);
    CHECK(found->connections == 60);
    CHECK(found->sources[0].connections == 60);
  }
  CHECK(s.last->connections == 23'000);
  CHECK(s.last->destinations.size() == 2000);
  CHECK_FALSE(s.last->whole);
  // The same ones are not counted over and over.
  CHECK(s.survey.destinations_turned_away() >= 18'000);
  CHECK(s.survey.destinations_turned_away() < 19'000);

  // Once the scan is over there is room for all again.
  for (const FlowKey& key : scan) s.Remove(key);
  s.Survey();
  CHECK(s.last->whole);
  CHECK(s.last->destinations.size() == 50);
}

TEST_CASE("a survey goes on in slices and rests a hundred times as long as it took") {
  Surveyed s;
  for (int i = 0; i < 60'000; ++i) s.Add("10.0.0.1", "192.0.2." + std::to_string(i % 250), 443, kTcp);
  const DestinationSurvey::Clock::time_point start{std::chrono::hours(1)};
  const auto began = DestinationSurvey::Clock::now();
  int slices = 1;
  while (s.survey.Step(s.table, s.now, start)) ++slices;
  const auto took = DestinationSurvey::Clock::now() - began;
  CHECK(slices > 1);
  REQUIRE(s.survey.last() != nullptr);
  const auto first = s.survey.last();
  for (int i = 0; i < 300; ++i) s.Add("10.0.0.2", "192.0.2.1", 443, kTcp);
  CHECK_FALSE(s.survey.Step(s.table, s.now, start + std::chrono::milliseconds(999)));
  CHECK(s.survey.last() == first);
  s.clock = start + std::max<DestinationSurvey::Clock::duration>(std::chrono::seconds(1), took * 101);
  s.Survey();
  CHECK(s.last != first);
}

TEST_CASE("a survey of a large table is made every three seconds if little changes, and every ten if nothing does") {
  Surveyed s;
  for (int i = 0; i < 60'000; ++i) s.Add("10.0.0.1", "192.0.2." + std::to_string(i % 250), 443, kTcp);
  s.Survey();
  const auto survey_after = [&](std::chrono::milliseconds passed) {
    const auto before = s.survey.last();
    while (s.survey.Step(s.table, s.now, s.clock + passed)) {
    }
    return s.survey.last() != before;
  };
  CHECK_FALSE(survey_after(std::chrono::milliseconds(1500)));
  for (int i = 0; i < 200; ++i) s.Add("10.0.0.2", "192.0.2.1", 443, kTcp);
  CHECK_FALSE(survey_after(std::chrono::milliseconds(1500)));
  CHECK(survey_after(std::chrono::seconds(3)));
  s.clock += std::chrono::seconds(3);
  CHECK_FALSE(survey_after(std::chrono::milliseconds(1500)));
  CHECK(survey_after(std::chrono::seconds(10)));
}
