#include "daemon/diagnose/host/host_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;
using Names = std::vector<std::string>;

namespace {

// 10.0.0.2 behind eth0 asks for 10.0.1.2 behind eth1.
Staged Gateway() {
  Staged staged;
  staged.question.source = Address("10.0.0.2");
  staged.question.destination = Address("10.0.1.2");
  staged.host.routes.to_source = Route{Route::Kind::kForward, 2, {}, {}, 0};
  staged.host.routes.to_destination = Route{Route::Kind::kForward, 3, {}, {}, 0};
  staged.host.routes.in_link = 2;
  staged.host.routes.destination_is_local = false;
  staged.host.sysctls["net/ipv4/ip_forward"] = "1";
  staged.host.sysctls["net/ipv4/conf/eth0/forwarding"] = "1";
  return staged;
}

}  // namespace

TEST_CASE("a gateway that forwards is none that does not") {
  CHECK(Gateway().Check(CheckForwarding).findings.empty());
  CHECK(Gateway().Check(CheckReversePath).findings.empty());
  Staged off = Gateway();
  off.host.sysctls["net/ipv4/conf/eth0/forwarding"] = "0";
  off.host.routes.to_destination = Route{Route::Kind::kUnreachable, 0, {}, {}, EHOSTUNREACH};
  const Report report = off.Check(CheckForwarding);
  REQUIRE(Ids(report) == Names{"forwarding-off"});
  CHECK(report.findings[0].fix[0].command == "sysctl -w net.ipv4.conf.eth0.forwarding=1");
  off.host.sysctls["net/ipv4/ip_forward"] = "0";
  off.host.sysctls["net/ipv4/conf/eth1/forwarding"] = "0";
  off.host.routes.out_link = 3;
  CHECK(off.Check(CheckForwarding).findings[0].fix[0].command ==
        "sysctl -w net.ipv4.conf.eth0.forwarding=1 && sysctl -w net.ipv4.conf.eth1.forwarding=1");
  off.question.destination = Address("203.0.113.1");
  off.host.routes.out_link = 0;  // by which link is not known
  off.host.sysctls["net/ipv4/conf/eth1/forwarding"] = "1";
  const Fix whole = off.Check(CheckForwarding).findings[0].fix[0];
  CHECK(whole.command == "sysctl -w net.ipv4.ip_forward=1");
  CHECK(whole.undo == "sysctl -w net.ipv4.ip_forward=0 && sysctl -w net.ipv4.conf.eth1.forwarding=1");
}

TEST_CASE("a host forwards nothing to itself, and its own packets to others") {
  Staged local = Gateway();
  local.host.sysctls["net/ipv4/conf/eth0/forwarding"] = "0";
  local.host.sysctls["net/ipv4/ip_forward"] = "0";
  local.question.destination = Address("10.0.0.1");
  local.host.routes.destination_is_local = true;
  local.host.routes.to_destination = Route{Route::Kind::kLocal, 0, {}, {}, 0};
  CHECK(local.Check(CheckForwarding).findings.empty());
  Staged own = Gateway();
  own.host.sysctls["net/ipv4/conf/eth0/forwarding"] = "0";
  own.host.routes.source_is_local = true;
  CHECK(own.Check(CheckForwarding).findings.empty());
}

TEST_CASE("no way on, and no way back") {
  Staged on = Gateway();
  on.host.routes.to_destination = Route{Route::Kind::kUnreachable, 0, {}, {}, ENETUNREACH};
  CHECK(Ids(on.Check(CheckForwarding)) == Names{"no-route"});
  Staged back = Gateway();
  back.host.routes.to_source = Route{Route::Kind::kUnreachable, 0, {}, {}, ENETUNREACH};
  CHECK(Ids(back.Check(CheckForwarding)) == Names{"no-route"});
}

TEST_CASE("the reverse path filter is accused by evidence, not for being on") {
  Staged staged = Gateway();
  staged.host.sysctls["net/ipv4/conf/eth0/rp_filter"] = "1";
  staged.host.sysctls["net/ipv4/conf/eth1/rp_filter"] = "1";
  CHECK(staged.Check(CheckReversePath).findings.empty());

  Staged counted = staged;
  (*counted.host.last.network)["TcpExt.IPReversePathFilter"] = 4;
  CHECK(Ids(counted.Check(CheckReversePath)) == Names{"rp-filter"});
  (*counted.host.first.network)["TcpExt.IPReversePathFilter"] = 4;  // long ago, and few
  CHECK(counted.Check(CheckReversePath).findings.empty());

  // The kernel takes the greater value of the link and of all.
  counted.host.sysctls["net/ipv4/conf/all/rp_filter"] = "1";
  (*counted.host.first.network)["TcpExt.IPReversePathFilter"] = 0;
  const Report strict = counted.Check(CheckReversePath);
  REQUIRE(Ids(strict) == Names{"rp-filter"});
  CHECK(strict.findings[0].fix[0].command == "sysctl -w net.ipv4.conf.eth0.rp_filter=2");

  Staged no_way = staged;
  no_way.host.routes.to_source = Route{Route::Kind::kUnreachable, 0, {}, {}, ENETUNREACH};
  CHECK(Ids(no_way.Check(CheckReversePath)) == Names{"rp-filter"});

  Staged watched = staged;
  watched.watched.emplace();
  WatchedFlow flow;
  flow.source = *staged.question.source;
  flow.in_link = 3;
  watched.watched->flows.push_back(flow);
  const Report report = watched.Check(CheckReversePath);
  REQUIRE(Ids(report) == Names{"rp-filter"});
  CHECK(Says(report.findings[0], "arrive by eth1, and the way back is eth0"));
  watched.watched->flows[0].in_link = 2;
  CHECK(watched.Check(CheckReversePath).findings.empty());
  watched.watched->flows[0].in_link = 3;
  watched.host.sysctls["net/ipv4/conf/eth1/rp_filter"] = "2";
  CHECK(watched.Check(CheckReversePath).findings.empty());
  watched.host.sysctls["net/ipv4/conf/all/rp_filter"] = "1";  // the larger counts
  CHECK(watched.Check(CheckReversePath).findings.empty());
}

TEST_CASE("masquerading without forwarding is odd enough to tell") {
  Staged staged;
  Ruleset rules;
  Rule rule;
  rule.verdict = Verdict::kNat;
  rule.family = RuleFamily::kIp;
  rule.text = "oifname \"eth1\" masquerade";
  rule.nat = NatTarget{NatTarget::Kind::kMasquerade, {}, {}, true};
  rules.rules.push_back(rule);
  auto& read = staged.rules.backends[RuleBackend::kNftables];
  read.present = true;
  read.ruleset = std::make_shared<Ruleset>(rules);
  CHECK(Ids(staged.Check(CheckForwarding)) == Names{"forwarding-off"});
  staged.host.sysctls["net/ipv4/ip_forward"] = "1";
  CHECK(staged.Check(CheckForwarding).findings.empty());
}
