#include "daemon/diagnose/table/table_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;
using Names = std::vector<std::string>;

namespace {

constexpr std::uint32_t kReplied = 2 | 4;  // IPS_SEEN_REPLY, IPS_ASSURED

WatchedFlow Attempt(const char* source, std::uint16_t source_port, std::uint16_t port, WatchedFlow::Answer answer) {
  WatchedFlow flow;
  flow.source = Address(source);
  flow.destination = Address("10.0.0.1");
  flow.source_port = source_port;
  flow.destination_port = port;
  flow.protocol = 6;
  flow.requests = 1;
  flow.in_link = 2;
  flow.answer = answer;
  return flow;
}

}  // namespace

TEST_CASE("many ports in vain are a scan; many ports that answer are not") {
  Staged staged;
  staged.Add("192.0.2.7", 150, TcpState::kSynSent, 60, 1000, true);
  REQUIRE(Ids(staged.Check(CheckSources)) == Names{"port-scan"});
  CHECK(Says(staged.Check(CheckSources).findings[0], "192.0.2.7 scans ports: 150 distinct ports"));
  staged.config.alerts.source_scan.warning = 200;
  CHECK(staged.Check(CheckSources).findings.empty());

  Staged honest;
  honest.Add("192.0.2.7", 150, TcpState::kEstablished, 431'990, 1000, true, kReplied);
  CHECK(honest.Check(CheckSources).findings.empty());
}

TEST_CASE("another source's scan explains less of what was asked") {
  Staged staged;
  staged.Add("192.0.2.7", 150, TcpState::kSynSent, 60, 1000, true);
  const double unasked = staged.Check(CheckSources).findings[0].certainty;
  staged.question.source = Address("192.0.2.99");
  CHECK(staged.Check(CheckSources).findings[0].certainty < unasked);
  staged.question.source = Address("192.0.2.7");
  CHECK(staged.Check(CheckSources).findings[0].certainty > unasked);
}

TEST_CASE("a scan that leaves no entries is seen on the wire") {
  Staged staged;
  staged.watched.emplace();
  staged.watched->lasted = std::chrono::seconds(1);
  for (std::uint16_t i = 0; i < 120; ++i)
    staged.watched->flows.push_back(
        Attempt("192.0.2.7", 5000, static_cast<std::uint16_t>(1000 + i), WatchedFlow::Answer::kReset));
  CHECK(Ids(staged.Check(CheckSources)) == Names{"port-scan"});
}

TEST_CASE("churn is a rate, by what is left of timeouts, the wire, or the daemon") {
  Staged staged;
  staged.Add("192.0.2.7", 1100, TcpState::kTimeWait, 118, 80, false, kReplied);
  CHECK(Ids(staged.Check(CheckSources)) == Names{"connection-churn"});
  Staged older;
  older.Add("192.0.2.7", 5000, TcpState::kTimeWait, 60, 80, false, kReplied);
  CHECK(older.Check(CheckSources).findings.empty());
  older.daemon = RunningDaemon{};
  older.daemon->fastest = {{"192.0.2.7", 5000, 250.0, 0, {}}};
  const Report report = older.Check(CheckSources);
  REQUIRE(Ids(report) == Names{"connection-churn"});
  CHECK(Says(report.findings[0], "the daemon counts 250"));
}

TEST_CASE("a leak is many connections that nobody uses") {
  Staged staged;
  staged.Add("192.0.2.7", 600, TcpState::kEstablished, 432'000 - 90'000, 5432, false, kReplied);
  CHECK(Ids(staged.Check(CheckSources)) == Names{"connection-leak"});
  Staged used;
  used.Add("192.0.2.7", 600, TcpState::kEstablished, 432'000 - 60, 5432, false, kReplied);
  CHECK(used.Check(CheckSources).findings.empty());
  Staged sending;  // data that is not acknowledged: the kernel gives it 300 s, and that is no idle time
  sending.Add("192.0.2.7", 600, TcpState::kEstablished, 290, 5432, false, kReplied);
  CHECK(sending.Check(CheckSources).findings.empty());
}

TEST_CASE("half-open connections to one port are a flood; to many ports they are not") {
  Staged staged;
  for (int i = 0; i < 250; ++i) staged.Add(("198.51.100." + std::to_string(i)).c_str(), 1, TcpState::kSynRecv, 50);
  const Report report = staged.Check(CheckSynFlood);
  REQUIRE(Ids(report) == Names{"syn-flood"});
  CHECK(Says(report.findings[0], "SYN flood upon 10.0.0.1 port 80"));
  CHECK(Says(report.findings[0], "from 250 sources, about one attempt each"));
  staged.question.destination_port = std::uint16_t{443};
  CHECK(staged.Check(CheckSynFlood).findings[0].certainty < report.findings[0].certainty);

  Staged scanned;
  scanned.Add("192.0.2.7", 250, TcpState::kSynSent, 100, 1000, true);
  CHECK(scanned.Check(CheckSynFlood).findings.empty());
  Staged busy;
  for (int i = 0; i < 250; ++i) busy.Add(("198.51.100." + std::to_string(i)).c_str(), 1, TcpState::kSynRecv, 50);
  busy.Add("192.0.2.7", 600, TcpState::kEstablished, 431'000, 80, false, kReplied);
  CHECK(busy.Check(CheckSynFlood).findings.empty());
}

TEST_CASE("a flood that rules drop is seen on the wire; one client's retries are none") {
  Staged staged;
  staged.watched.emplace();
  for (int i = 0; i < 250; ++i)
    staged.watched->flows.push_back(
        Attempt(("198.51.100." + std::to_string(i)).c_str(), 5000, 80, WatchedFlow::Answer::kNone));
  CHECK(Ids(staged.Check(CheckSynFlood)) == Names{"syn-flood"});
  Staged client;
  client.watched.emplace();
  for (std::uint16_t i = 0; i < 250; ++i)
    client.watched->flows.push_back(
        Attempt("198.51.100.7", static_cast<std::uint16_t>(5000 + i), 80, WatchedFlow::Answer::kAccepted));
  CHECK(client.Check(CheckSynFlood).findings.empty());
}

TEST_CASE("a configured limit: the most specific one counts, and near is near") {
  Staged staged;
  staged.Add("192.0.2.7", 85, TcpState::kEstablished, 431'999);
  CHECK(staged.Check(CheckSourceLimits).findings.empty());
  staged.config.limits = {{*Prefix::Parse("0.0.0.0/0"), 100}};
  CHECK(Ids(staged.Check(CheckSourceLimits)) == Names{"source-at-limit"});
  staged.config.limits.push_back({*Prefix::Parse("192.0.2.0/24"), 1000});
  CHECK(staged.Check(CheckSourceLimits).findings.empty());
}
