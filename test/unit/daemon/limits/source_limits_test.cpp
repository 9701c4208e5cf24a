#include "daemon/limits/source_limits.h"

#include "test/support/catch.h"
#include "test/unit/daemon/limits/written_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

const SourceGrouping kSingly{};

// Connections of the table, and what is asked about them.
struct Limited_ {
  explicit Limited_(SourceGrouping grouping = kSingly, std::size_t sources_max = ConnectionCensus::kSourcesMax)
      : census(grouping, KeyedHash(KeyedHash::Secret{3}), sources_max) {}

  void Open(const std::string& source, std::uint16_t port, TcpState state = TcpState::kEstablished,
            std::uint16_t zone = 0) {
    FlowKey key;
    key.source = Address(source).bytes;
    key.source_port = next_port++;
    key.destination_port = port;
    key.protocol = 6;
    key.zone = zone;
    Flow* flow = flows.Insert(key, flows.Hash(key));
    REQUIRE(flow != nullptr);
    flow->tcp_state = static_cast<std::uint8_t>(state) & 0xF;
  }
  void Follow(const WrittenRules& rules) { limits.Follow(rules.Figures(), false, sysctl, census); }
  void Count() {
    now += std::chrono::hours(1);
    while (census.Step(flows, now)) continue;
  }
  std::vector<SourceLimit> Of(const std::string& source) const {
    return limits.Of(Prefix::Parse(source).value(), 40, configured, census);
  }

  FlowTable flows{100'000, KeyedHash(KeyedHash::Secret{2})};
  ConnectionCensus census;
  SourceLimits limits;
  std::vector<Config::Limit> configured;
  std::optional<std::uint64_t> sysctl;
  ConnectionCensus::Clock::time_point now{};
  std::uint16_t next_port = 1;
};

WrittenRules One(Rule rule) { return WrittenRules().Chain("INPUT", "input", {std::move(rule)}); }

}  // namespace

TEST_CASE("a limit in a rule counts the connections that it covers, but not closed ones") {
  Limited_ limited;
  for (int i = 0; i < 9; ++i) limited.Open("10.0.0.1", 80);
  for (int i = 0; i < 30; ++i) limited.Open("10.0.0.1", 443);
  limited.Open("10.0.0.1", 80, TcpState::kTimeWait);
  limited.Open("10.0.0.1", 80, TcpState::kClose);
  limited.Open("10.0.0.2", 80);
  limited.Follow(One(Limited(Rule_("to the web", Verdict::kDrop, {Protocol(6), Port(80)}), 10)));
  CHECK(limited.Of("10.0.0.1").empty());  // not counted yet
  limited.Count();
  const auto limits = limited.Of("10.0.0.1");
  REQUIRE(limits.size() == 1);
  CHECK(limits[0].connections == 10);
  CHECK(limits[0].counted == 9);
  CHECK(limits[0].rule == "to the web");
  CHECK_FALSE(limits[0].approximate);
  CHECK(limited.Of("10.0.0.2")[0].counted == 1);
  CHECK(limited.Of("10.0.0.3")[0].counted == 0);
}

TEST_CASE("a limit by prefix counts the group, and each zone for itself") {
  Limited_ limited;
  for (int i = 0; i < 3; ++i) limited.Open("10.0.0.1", 80);
  for (int i = 0; i < 4; ++i) limited.Open("10.0.0.2", 80);
  for (int i = 0; i < 5; ++i) limited.Open("10.0.0.2", 80, TcpState::kEstablished, 7);
  limited.Follow(One(Limited(Rule_("", Verdict::kDrop), 10, 24)));
  limited.Count();
  CHECK(limited.Of("10.0.0.1")[0].counted == 7);
  CHECK(limited.Of("10.0.0.2")[0].counted == 7);
}

TEST_CASE("of sources that are grouped the most used limit counts") {
  Limited_ limited({24, 64});
  for (int i = 0; i < 3; ++i) limited.Open("10.0.0.1", 80);
  for (int i = 0; i < 4; ++i) limited.Open("10.0.0.2", 80);
  limited.Follow(One(Limited(Rule_("", Verdict::kDrop), 10)));
  limited.Count();
  CHECK(limited.Of("10.0.0.0/24")[0].counted == 4);
}

TEST_CASE("limits that are replaced stay until the new ones are counted") {
  Limited_ limited;
  limited.Open("10.0.0.1", 80);
  limited.Follow(One(Limited(Rule_("", Verdict::kDrop), 10)));
  limited.Count();
  limited.Follow(One(Limited(Rule_("", Verdict::kDrop, {Port(80)}), 20)));
  CHECK(limited.Of("10.0.0.1")[0].connections == 10);
  limited.Count();
  CHECK(limited.Of("10.0.0.1")[0].connections == 20);
  limited.Follow(One(Limited(Rule_("", Verdict::kDrop, {Port(80)}), 30)));  // covers the same: no need to wait
  CHECK(limited.Of("10.0.0.1")[0].connections == 30);
  limited.Follow(WrittenRules());
  CHECK(limited.Of("10.0.0.1").empty());
}

TEST_CASE("limits of all origins stand side by side, the most used first") {
  Limited_ limited;
  limited.configured = {{Prefix::Parse("0.0.0.0/0").value(), 1000}, {Prefix::Parse("10.0.0.0/8").value(), 50}};
  limited.sysctl = 400;
  for (int i = 0; i < 9; ++i) limited.Open("10.0.0.1", 80);
  limited.Follow(One(Limited(Rule_("", Verdict::kDrop), 10)));
  limited.Count();
  const auto limits = limited.Of("10.0.0.1");
  REQUIRE(limits.size() == 3);
  CHECK(limits[0].origin == LimitOrigin::kConnlimit);
  CHECK(limits[1].origin == LimitOrigin::kConfig);
  CHECK(limits[1].connections == 50);
  CHECK(limits[1].counted == 40);
  CHECK(limits[2].origin == LimitOrigin::kSysctl);
}

TEST_CASE("sources that a census has no room for are counted once, however many connections and censuses they have") {
  Limited_ limited(kSingly, 2);
  for (int connection = 0; connection < 4; ++connection) {
    for (const char* source : {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}) limited.Open(source, 80);
  }
  limited.Follow(One(Limited(Rule_("", Verdict::kDrop), 10)));
  for (int i = 0; i < 5; ++i) limited.Count();
  CHECK(limited.census.sources_turned_away() == 3);
}

TEST_CASE("limits that find no room are counted once, and the count does not fall when they are gone") {
  Limited_ limited;
  const auto with = [&](std::size_t limits) {
    limited.Follow(
        WrittenRules().Chain("INPUT", "input", std::vector<Rule>(limits, Limited(Rule_("", Verdict::kDrop), 10))));
    return limited.limits.turned_away();
  };
  CHECK(with(LimitsInRules::kLimitsMax + 3) == 3);
  CHECK(with(LimitsInRules::kLimitsMax + 3) == 3);
  CHECK(with(1) == 3);
  CHECK(with(LimitsInRules::kLimitsMax + 2) == 5);
}
