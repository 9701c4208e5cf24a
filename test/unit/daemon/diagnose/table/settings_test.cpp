#include "daemon/diagnose/table/table_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;
using Names = std::vector<std::string>;

TEST_CASE("what is untidy stays behind every cause") {
  Staged staged;
  staged.host.sysctls["net/netfilter/nf_conntrack_events"] = "0";
  staged.host.sysctls["net/netfilter/nf_conntrack_tcp_timeout_established"] = "7200";
  for (const auto& check : {CheckTracking, CheckSavedSysctls}) {
    const Report report = staged.Check(check);
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings[0].certainty <= kHygieneMax);
  }
}

TEST_CASE("events are off at 0 only") {
  Staged staged;
  for (const char* value : {"1", "2"}) {
    staged.host.sysctls["net/netfilter/nf_conntrack_events"] = value;
    CHECK(staged.Check(CheckTracking).findings.empty());
  }
}

TEST_CASE("that nothing is tracked matters to who counts on it") {
  Staged staged;
  staged.host.established_sockets = 5;
  CHECK(staged.Check(CheckTracking).findings.empty());
  staged.daemon = RunningDaemon{};
  CHECK(Ids(staged.Check(CheckTracking)) == Names{"conntrack-inactive"});
  staged.Add("192.0.2.7", 1, TcpState::kEstablished, 431'000);
  CHECK(staged.Check(CheckTracking).findings.empty());
}

TEST_CASE("a setting that a file sets otherwise, or none sets, is lost at the next boot") {
  Staged staged;
  CHECK(staged.Check(CheckSavedSysctls).findings.empty());
  staged.host.sysctls["net/netfilter/nf_conntrack_udp_timeout"] = "60";
  REQUIRE(Ids(staged.Check(CheckSavedSysctls)) == Names{"unpersisted-sysctl"});
  staged.host.saved_sysctls =
      std::vector<SavedSysctl>{{"net/netfilter/nf_conntrack_udp_timeout", "60", "/etc/sysctl.d/90-x.conf", 3}};
  CHECK(staged.Check(CheckSavedSysctls).findings.empty());
  staged.host.saved_sysctls->push_back({"net/netfilter/nf_conntrack_udp_timeout", "45", "/etc/sysctl.d/91-y.conf", 7});
  const Report report = staged.Check(CheckSavedSysctls);
  REQUIRE(Ids(report) == Names{"unpersisted-sysctl"});
  CHECK(Says(report.findings[0], "/etc/sysctl.d/91-y.conf line 7 says 45"));
}

TEST_CASE("what a file says is to be applied, and nothing is written against it") {
  Staged staged;
  const std::string path = "net/netfilter/nf_conntrack_events", file = "/usr/lib/sysctl.d/30-conntally.conf";
  staged.host.sysctls[path] = "2";
  staged.host.saved_sysctls = std::vector<SavedSysctl>{{path, "1", file, 8}};
  const Report report = staged.Check(CheckSavedSysctls);
  REQUIRE(Ids(report) == Names{"unpersisted-sysctl"});
  const Finding& finding = report.findings[0];
  CHECK(Says(finding, "is 2, but " + file + " line 8 says 1"));
  REQUIRE(finding.fix.size() == 2);
  CHECK(finding.fix[0].command == "sysctl -p " + file);
  CHECK(finding.fix[0].undo == "sysctl -w 'net.netfilter.nf_conntrack_events=2'");
  CHECK(finding.fix[1].command == "echo nf_conntrack > /etc/modules-load.d/conntrack.conf");
  CHECK_FALSE(finding.decide.empty());
  // Nor by any other finding's advice.
  staged.host.sysctls[path] = "0";
  CHECK(staged.Check(CheckTracking).findings.at(0).fix[0].persist == file + " line 8 says so already");
}

TEST_CASE("files of sysctl.d say nothing of another namespace, but for what is one for all") {
  Staged staged;
  staged.host.in_first_namespace = false;
  staged.host.sysctls["net/ipv4/ip_forward"] = "1";
  staged.host.saved_sysctls = std::vector<SavedSysctl>{{"net/ipv4/ip_forward", "0", "/etc/sysctl.d/90-x.conf", 3}};
  CHECK(staged.Check(CheckSavedSysctls).findings.empty());
  staged.host.saved_sysctls =
      std::vector<SavedSysctl>{{"net/netfilter/nf_conntrack_max", "999", "/etc/sysctl.d/90-x.conf", 3}};
  CHECK(Ids(staged.Check(CheckSavedSysctls)) == Names{"unpersisted-sysctl"});
}
