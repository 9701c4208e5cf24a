#include "daemon/diagnose/host/host_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;
using Names = std::vector<std::string>;

namespace {

// A packet from 10.7.0.2 came by eth0 a second ago.
Staged Watched(WatchedFlow::Answer answer) {
  Staged staged;
  WatchedFlow flow;
  flow.source = Address("10.7.0.2");
  flow.in_link = 2;
  flow.requests = 1;
  flow.answer = answer;
  staged.watched = WatchedPackets{std::chrono::seconds(1), {flow}};
  return staged;
}

}  // namespace

TEST_CASE("IPsec's drops are told where attempts fail meanwhile") {
  Staged staged = Watched(WatchedFlow::Answer::kNone);
  (*staged.host.first.network)["XfrmInPolBlock"] = 5;
  (*staged.host.last.network)["XfrmInPolBlock"] = 5;
  CHECK(staged.Check(CheckOutsideTheFirewall).findings.empty());
  (*staged.host.last.network)["XfrmInPolBlock"] = 8;
  const Report report = staged.Check(CheckOutsideTheFirewall);
  REQUIRE(Ids(report) == Names{"drop-rule"});
  CHECK(Says(report.findings[0], "XfrmInPolBlock rose by 3"));
  staged.watched->flows[0].answer = WatchedFlow::Answer::kAccepted;
  CHECK(staged.Check(CheckOutsideTheFirewall).findings.empty());
}

TEST_CASE("answers that leave by another link are told where they are asked for again") {
  Staged staged = Watched(WatchedFlow::Answer::kAccepted);
  WatchedFlow& flow = staged.watched->flows[0];
  flow.answered_by_link = 3;
  CHECK(staged.Check(CheckOutsideTheFirewall).findings.empty());  // they get there
  flow.asked_again = 2;
  const Report report = staged.Check(CheckOutsideTheFirewall);
  REQUIRE(Ids(report) == Names{"no-route"});
  CHECK(report.findings[0].title.find("arrive by eth0, and their answers leave by eth1") != std::string::npos);
  flow.answered_by_link = 2;
  CHECK(staged.Check(CheckOutsideTheFirewall).findings.empty());
  flow.answered_by_link = 3;
  staged.host.links->at(2).kind = "vrf";
  CHECK(staged.Check(CheckOutsideTheFirewall).findings.empty());
}

TEST_CASE("datagrams that are answered from another address of this host are told") {
  Staged staged = Watched(WatchedFlow::Answer::kFromAnother);
  WatchedFlow& flow = staged.watched->flows[0];
  flow.destination = Address("10.0.1.1"), flow.answered_by = Address("10.0.0.1"), flow.answered_from_here = true;
  const Report report = staged.Check(CheckOutsideTheFirewall);
  REQUIRE(Ids(report) == Names{"listener-other-address"});
  CHECK(Says(report.findings[0], "the answers leave from 10.0.0.1"));
  flow.destination = Address("10.0.1.255");  // broadcast
  CHECK(staged.Check(CheckOutsideTheFirewall).findings.empty());
}
