// Ports in use, counted from entries, against what was put in.
#include "collectors/nat/nat_census.h"

#include "collectors/nat/nat_reader.h"
#include "test/support/catch.h"
#include "test/unit/collectors/nat/translated.h"

using namespace conntally;
using namespace conntally::test;

namespace {

struct Counted {
  NatCensus census{{}, true};

  void Add(const Translated& connection) {
    const auto [flow, reply] = Dumped(connection);
    census.AddTranslated(flow, reply);
  }
  void AddOwn(Translated connection) {
    connection.source = connection.nat_address;
    connection.source_port = connection.nat_port;
    connection.status = 0;
    const auto [flow, reply] = Dumped(connection);
    census.AddUntranslated(flow, reply);
  }
  NatFigures Finish() { return census.Finish(SourceNatRules(FirewallReading{})); }
};

std::uint16_t Port(int number) { return static_cast<std::uint16_t>(number); }

}  // namespace

TEST_CASE("each address has its own ports towards each destination, port and protocol") {
  Counted counted;
  for (int i = 0; i < 30; ++i) counted.Add({.source_port = Port(40'000 + i), .nat_port = Port(40'000 + i)});
  for (int i = 0; i < 20; ++i)
    counted.Add({.source = "10.0.0.3", .source_port = Port(40'000 + i), .nat_port = Port(50'000 + i)});
  for (int i = 0; i < 10; ++i)
    counted.Add({.source_port = Port(40'000 + i), .destination_port = 80, .nat_port = Port(40'000 + i)});
  counted.Add({.protocol = IPPROTO_UDP});
  counted.Add({.nat_address = "203.0.113.2"});
  counted.Add({.source = "2001:db8::2", .destination = "2001:db8:1::7", .nat_address = "2001:db8:9::1"});
  const NatFigures figures = counted.Finish();
  REQUIRE(figures.uses.size() == 5);
  const PortUse& fullest = figures.uses.front();
  CHECK(fullest.used == 50);
  CHECK(fullest.available() == 64'512);
  CHECK(fullest.destination == Endpoint{*IpAddress::Parse("198.51.100.7"), 443, IPPROTO_TCP});
  CHECK(fullest.sources == 2);
  REQUIRE(fullest.holders.size() == 2);
  CHECK(fullest.holders[0].source == *IpAddress::Parse("10.0.0.2"));
  CHECK(fullest.holders[0].connections == 30);
  CHECK(figures.uses[1].used == 10);
  CHECK(counted.census.turned_away().connections == 0);
}

TEST_CASE("an entry that a dump shows twice counts once") {
  Counted counted;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5; ++i) counted.Add({.source_port = Port(40'000 + i), .nat_port = Port(40'000 + i)});
  }
  CHECK(counted.Finish().uses.front().used == 5);
}

TEST_CASE("the host's own connections take ports of its address, where others are translated to it") {
  Counted counted;
  counted.Add({.nat_port = 40'001});
  CHECK(counted.census.nat_addresses() == std::set{*IpAddress::Parse("203.0.113.1")});
  counted.AddOwn({.nat_port = 40'002});
  counted.AddOwn({.destination = "198.51.100.9", .nat_port = 40'003});  // nobody else goes there
  const NatFigures figures = counted.Finish();
  REQUIRE(figures.uses.size() == 1);
  CHECK(figures.uses.front().used == 2);
  CHECK(figures.uses.front().sources == 2);
}

TEST_CASE("ports below 1024 are of ranges of their own, which are told when they are the fuller") {
  Counted counted;
  for (int i = 0; i < 40; ++i) counted.Add({.source_port = Port(40'000 + i), .nat_port = Port(40'000 + i)});
  const auto low = [&](int count) {
    for (int i = 0; i < count; ++i)
      counted.Add({.source_port = Port(1 + i), .nat_port = Port(1 + i), .protocol = IPPROTO_TCP});
  };
  SECTION("a few") {
    low(3);
    const PortUse use = counted.Finish().uses.front();
    CHECK(use.used == 40);
    CHECK(use.ports == NumberRange{1024, 65'535});
  }
  SECTION("nearly all") {
    low(500);
    const PortUse use = counted.Finish().uses.front();
    CHECK(use.used == 500);
    CHECK(use.ports == NumberRange{1, 511});
  }
}

TEST_CASE("the ids of echo requests are ports, and a protocol without ports has none to run out of") {
  Counted counted;
  for (int i = 0; i < 7; ++i)
    counted.Add({.source_port = 1, .destination_port = 0x0800, .nat_port = Port(i), .protocol = IPPROTO_ICMP});
  counted.Add({.source_port = 0, .destination_port = 0, .nat_port = 0, .protocol = IPPROTO_ESP});
  const NatFigures figures = counted.Finish();
  REQUIRE(figures.uses.size() == 1);
  CHECK(figures.uses.front().used == 7);
  CHECK(figures.uses.front().available() == 65'536);
  CHECK(figures.uses.front().destination.port == 0);
}

TEST_CASE("connections that have ended are told apart where their ports are taken again") {
  for (const bool takes_again : {true, false}) {
    Counted counted{.census = NatCensus({}, takes_again)};
    for (int i = 0; i < 8; ++i)
      counted.Add({.nat_port = Port(40'000 + i), .tcp_state = i < 6 ? TcpState::kTimeWait : TcpState::kEstablished});
    const PortUse use = counted.Finish().uses.front();
    CHECK(use.used == 8);
    CHECK(use.closed == (takes_again ? 6 : 0));
  }
  CHECK(TakesClosedPortsAgain("6.18.44-1-amd64"));
  CHECK(TakesClosedPortsAgain("6.6.0"));
  CHECK(TakesClosedPortsAgain("7.0"));
  CHECK_FALSE(TakesClosedPortsAgain("6.1.0-50-amd64"));
  CHECK_FALSE(TakesClosedPortsAgain("5.15"));
  CHECK_FALSE(TakesClosedPortsAgain(""));
  CHECK_FALSE(TakesClosedPortsAgain("next"));
}

TEST_CASE("zones have ports of their own, and the fullest is told") {
  Counted counted;
  for (int i = 0; i < 5; ++i) counted.Add({.nat_port = Port(40'000 + i), .zone = 1});
  for (int i = 0; i < 9; ++i) counted.Add({.nat_port = Port(40'000 + i), .zone = 2});
  const NatFigures figures = counted.Finish();
  REQUIRE(figures.uses.size() == 1);
  CHECK(figures.uses.front().used == 9);
}

TEST_CASE("a translated destination is told with where it goes, and its ports are those towards there") {
  Counted counted;
  Translated connection{.status = IPS_SRC_NAT | IPS_DST_NAT, .answers_from = "10.9.0.1", .answers_from_port = 8443};
  for (int i = 0; i < 4; ++i) {
    connection.nat_port = Port(40'000 + i);
    counted.Add(connection);
  }
  connection.status = IPS_DST_NAT;
  counted.Add(connection);
  const NatFigures figures = counted.Finish();
  const Endpoint before{*IpAddress::Parse("198.51.100.7"), 443, IPPROTO_TCP},
      after{*IpAddress::Parse("10.9.0.1"), 8443, IPPROTO_TCP};
  REQUIRE(figures.destinations.size() == 1);
  CHECK(figures.destinations.front().before == before);
  CHECK(figures.destinations.front().after == after);
  CHECK(figures.destinations.front().connections == 5);
  CHECK(figures.uses.front().destination == after);
}

TEST_CASE("of more uses than are kept the fullest are, and only full ones are missed") {
  Counted counted;
  for (std::size_t i = 0; i < NatCensus::kUsesMax + 10; ++i) {
    const std::string destination = "198.51." + std::to_string(i / 200) + "." + std::to_string(i % 200 + 1);
    counted.Add({.destination = destination.c_str()});
  }
  for (int i = 0; i < 3; ++i) counted.Add({.destination = "198.52.0.1", .nat_port = Port(40'000 + i)});
  const NatFigures figures = counted.Finish();
  CHECK(figures.uses.size() == NatCensus::kUsesMax);
  CHECK(figures.uses.front().used == 3);
  CHECK(counted.census.turned_away().uses == 0);
}
