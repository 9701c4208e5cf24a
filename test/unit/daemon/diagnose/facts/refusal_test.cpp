#include "daemon/diagnose/facts/refusal.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace conntally::diagnose;

namespace {

RoutingRule Looks(std::uint32_t priority, std::uint32_t table) {
  RoutingRule rule;
  rule.priority = priority;
  rule.table = table;
  return rule;
}

HostFacts Host() {
  HostFacts host;
  Link link;
  link.index = 2, link.name = "eth0";
  host.links = std::vector<Link>{link};
  host.routing = RoutingPolicy{};
  host.routing->rules = {Looks(0, 255), Looks(100, 100), Looks(32766, 254)};
  host.routing->rules[1].source = Prefix{*IpAddress::Parse("10.0.0.0"), 24};
  return host;
}

RouteQuestion From(const char* source) { return {*IpAddress::Parse("192.0.2.9"), IpAddress::Parse(source), 2}; }

}  // namespace

TEST_CASE("the narrowest route that refuses is named, of the first table that is asked") {
  HostFacts host = Host();
  host.routing->routes = {{Refuses::kBlackhole, {*IpAddress::Parse("192.0.2.0"), 24}, 254, 0},
                          {Refuses::kProhibit, {*IpAddress::Parse("192.0.2.8"), 31}, 254, 7},
                          {Refuses::kUnreachable, {*IpAddress::Parse("0.0.0.0"), 0}, 100, 0}};
  CHECK(FindRefusal(host, From("10.0.0.2"))->remove == "ip route del unreachable 0.0.0.0/0 table 100");
  CHECK(FindRefusal(host, From("10.0.1.2"))->remove == "ip route del prohibit 192.0.2.8/31 metric 7");
  // Of its own table others may want the route, of the main one no route can be passed over.
  CHECK(FindRefusal(host, From("10.0.0.2"))->pass == "ip route add throw 192.0.2.9/32 table 100");
  CHECK(FindRefusal(host, From("10.0.0.2"))->undo == "ip route del throw 192.0.2.9/32 table 100");
  CHECK(FindRefusal(host, From("10.0.1.2"))->pass.empty());
  CHECK_FALSE(FindRefusal(host, {*IpAddress::Parse("198.51.100.1"), IpAddress::Parse("10.0.1.2"), 2}));
}

TEST_CASE("a rule that refuses is named with all that it asks") {
  HostFacts host = Host();
  host.routing->rules[1].refuses = Refuses::kProhibit;
  host.routing->rules[1].mark = host.routing->rules[1].mark_mask = 7;
  CHECK_FALSE(FindRefusal(host, From("10.0.0.2")));
  RouteQuestion marked = From("10.0.0.2");
  marked.mark = 7;
  const auto refusal = FindRefusal(host, marked);
  REQUIRE(refusal);
  CHECK(refusal->remove == "ip rule del from 10.0.0.0/24 fwmark 0x7/0x7 priority 100 prohibit");
  CHECK(refusal->pass == "ip rule add from 10.0.0.2/32 to 192.0.2.9/32 fwmark 0x7/0x7 priority 99 goto 32766");
  CHECK(refusal->undo == "ip rule del from 10.0.0.2/32 to 192.0.2.9/32 fwmark 0x7/0x7 priority 99 goto 32766");
  host.routing->rules[1].source = Prefix{*IpAddress::Parse("10.0.0.2"), 32};
  CHECK(FindRefusal(host, marked)->pass == "ip rule del from 10.0.0.2/32 fwmark 0x7/0x7 priority 100 prohibit");
  host.routing->rules[1].in_link = "eth1";
  CHECK_FALSE(FindRefusal(host, marked));
}

TEST_CASE("routes that refuse one address are all removed") {
  HostFacts host = Host();
  host.routing->routes = {{Refuses::kBlackhole, {*IpAddress::Parse("192.0.2.9"), 32}, 254, 5},
                          {Refuses::kUnreachable, {*IpAddress::Parse("192.0.2.9"), 32}, 254, 50}};
  const auto refusal = FindRefusal(host, From("10.0.1.2"));
  REQUIRE(refusal);
  CHECK(refusal->pass ==
        "ip route del blackhole 192.0.2.9/32 metric 5 && ip route del unreachable 192.0.2.9/32 metric 50");
  CHECK(refusal->undo ==
        "ip route add blackhole 192.0.2.9/32 metric 5 && ip route add unreachable 192.0.2.9/32 metric 50");
}

TEST_CASE("what could not be read refuses nothing") {
  HostFacts host = Host();
  host.routing = Error{"not read"};
  CHECK_FALSE(FindRefusal(host, From("10.0.0.2")));
}
