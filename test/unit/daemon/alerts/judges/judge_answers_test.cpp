#include "daemon/alerts/judges/judge_answers.h"

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/judged_host.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

// Attempts of `sources` proven sources, as each survey finds them.
void Try(Host& host, std::uint64_t sources, std::uint64_t unanswered, std::chrono::seconds duration) {
  for (std::chrono::seconds second{0}; second < duration; ++second) {
    if (!host.evidence.answers) host.Answers(443, 20, 0);
    host.evidence.answers = std::make_shared<AnswerFigures>(*host.evidence.answers);
    host.evidence.attempts.proven_sources = sources;
    host.evidence.attempts.proven_unanswered = unanswered;
    host.evidence.attempts.proven_failed = unanswered * 2;
    host.evidence.attempts.proven_ipv6_failed = host.evidence.attempts.proven_ipv6_unanswered * 2;
    host.evidence.attempts.unanswered_leaders = {{"10.0.0.7", unanswered}};
    host.Run(1s);
  }
}

void Ask(Host& host, std::uint16_t port, std::uint32_t attempts, std::uint32_t unanswered,
         std::chrono::seconds duration, std::uint8_t protocol = 17, std::uint32_t sources = 1) {
  for (std::chrono::seconds second{0}; second < duration; ++second) {
    host.Answers(port, attempts, unanswered, protocol, "192.0.2.53", sources);
    host.Run(1s);
  }
}

}  // namespace

TEST_CASE("nobody behind the gateway answers any more: told within a minute, with how many, and cleared") {
  Host host;
  Try(host, 40, 1, 90s);
  Try(host, 40, 36, 32s);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered critical "});
  CHECK(host.Find(AlertKind::kConnectionsUnanswered)->description.find("36 of the 40") != std::string::npos);
  Try(host, 40, 1, 10s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a share that was always so, one client of many, and a host with two clients are no trouble") {
  Host host;
  SECTION("always so") { Try(host, 40, 26, 300s); }
  SECTION("one of many") {
    Try(host, 20, 0, 90s);
    Try(host, 20, 1, 90s);
  }
  SECTION("two clients") {
    Try(host, 2, 0, 90s);
    Try(host, 2, 2, 90s);
  }
  CHECK(host.Firing().empty());
}

TEST_CASE("the host's own resolver dies: the service is named, and not called a scan") {
  Host host;
  Ask(host, 53, 60, 1, 90s);
  Ask(host, 53, 60, 60, 35s);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered critical "});
  CHECK(host.Find(AlertKind::kConnectionsUnanswered)->description.find("192.0.2.53 UDP port 53 (60 of 60") !=
        std::string::npos);
  Ask(host, 53, 60, 1, 10s);
  CHECK(host.Firing().empty());
}

namespace {

// Of `attempts` a second for 20 s so many were refused, as each survey finds them.
void Refuse(Host& host, std::uint32_t attempts, std::uint32_t refused, std::chrono::seconds duration) {
  for (std::chrono::seconds second{0}; second < duration; ++second) {
    host.Answers(443, attempts - refused, 0, 6, "192.0.2.1", 30, refused);
    host.Run(1s);
  }
}

}  // namespace

TEST_CASE("a service that dies and is refused by RST is told within a minute, and one that restarts is not") {
  Host host;
  Refuse(host, 200, 2, 90s);
  Refuse(host, 200, 196, 45s);
  CHECK(host.Firing().empty());
  SECTION("it is back") {
    Refuse(host, 200, 2, 60s);
    CHECK(host.Firing().empty());
  }
  SECTION("it stays away") {
    Refuse(host, 200, 196, 10s);
    CHECK(host.Firing() == Strings{"ConnectionsUnanswered critical "});
    CHECK(host.Find(AlertKind::kConnectionsUnanswered)
              ->description.find(
                  "192.0.2.1 TCP port 443 (196 of 200 attempts by about 30 sources, refused by RST; usual are 1") !=
          std::string::npos);
    Refuse(host, 200, 2, 10s);
    CHECK(host.Firing().empty());
  }
}

TEST_CASE("a network whose services are each asked too rarely to judge is told as one") {
  Host host;
  const auto ask = [&](std::uint32_t dead, std::chrono::seconds duration) {
    for (std::chrono::seconds second{0}; second < duration; ++second) {
      auto answers = std::make_shared<AnswerFigures>();
      for (unsigned i = 1; i <= 120; ++i) {
        const bool far = i > 60;
        const std::string address = fmt::format("{}.{}", far ? "203.0.113" : "198.51.100", i);
        answers->services.push_back({*IpAddress::Parse(address), 443, 6, far ? 2U : 3U, far ? dead : 0, 0, 2});
      }
      host.evidence.answers = answers;
      host.Run(1s);
    }
  };
  ask(0, 90s);
  ask(2, 45s);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered warning "});
  CHECK(host.Find(AlertKind::kConnectionsUnanswered)
            ->description.find("the network 203.0.113.0/24 over TCP (120 of 120") != std::string::npos);
  auto saved = host.reader.Save();
  saved["age_seconds"] = 5;
  CHECK(host.reader.Restore(saved).empty());
  ask(0, 10s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a port that was always closed to many is no trouble") {
  Host host;
  Refuse(host, 200, 200, 300s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a service that never answers, and one that little depends on, are no trouble") {
  Host host;
  SECTION("a statsd sink") { Ask(host, 8125, 500, 500, 200s); }
  SECTION("one target of many that a prober asks") {
    host.Answers(443, 400, 0, 6);
    Ask(host, 80, 10, 0, 90s, 6);
    Ask(host, 80, 10, 10, 90s, 6);
  }
  CHECK(host.Firing().empty());
}

TEST_CASE("one service of several stops answering: a warning, since most still answer") {
  Host host;
  host.Answers(443, 100, 0, 6);
  Ask(host, 5432, 40, 0, 90s, 6, 12);
  Ask(host, 5432, 40, 40, 35s, 6, 12);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered warning "});
}

TEST_CASE("what strangers send to a service without an answer does not break it, and later it may break") {
  Host host;
  Ask(host, 51820, 30, 0, 90s, 17, 20);
  Ask(host, 51820, 130, 100, 120s, 17, 120);
  CHECK(host.Firing().empty());
  Ask(host, 51820, 130, 128, 35s, 17, 120);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered critical "});
}

TEST_CASE("a backend that is taken out, and is still asked by a health check, is no trouble") {
  Host host;
  host.Answers(443, 100, 0, 6);
  Ask(host, 8080, 40, 0, 90s, 6, 12);
  Ask(host, 8080, 8, 8, 90s, 6, 1);
  CHECK(host.Firing().empty());
}

TEST_CASE("a service is not told while it recovers") {
  Host host;
  Ask(host, 443, 40, 0, 90s, 6, 12);
  Ask(host, 443, 40, 40, 20s, 6, 12);
  for (int second = 0; second < 20; ++second) {
    host.Answers(443, 60, 40, 6, "192.0.2.53", 12);
    auto answers = std::make_shared<AnswerFigures>(*host.evidence.answers);
    answers->services.back().recent = 20;
    host.evidence.answers = answers;
    host.Run(1s);
  }
  CHECK(host.Firing().empty());
}

TEST_CASE("the destinations of the host's own connections die: told, and a few more failures are not") {
  Host host;
  host.Answers(443, 200, 0);
  auto answers = std::make_shared<AnswerFigures>(*host.evidence.answers);
  answers->attempts = 1000;
  host.evidence.answers = answers;
  const auto run = [&](std::uint64_t own, std::uint64_t unanswered, std::chrono::seconds duration) {
    host.evidence.attempts.own = own;
    host.evidence.attempts.own_unanswered = unanswered;
    Try(host, 40, 0, duration);
  };
  run(200, 4, 90s);
  run(500, 300, 90s);  // an inventory: the others are answered as ever
  CHECK(host.Firing().empty());
  run(200, 196, 35s);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered warning "});
  CHECK(host.Find(AlertKind::kConnectionsUnanswered)->description.find("196 of this host's own 200") !=
        std::string::npos);
}

TEST_CASE("one family of addresses is no longer answered: a warning that names it") {
  Host host;
  host.evidence.attempts.proven_ipv6_sources = 45;
  Try(host, 120, 0, 90s);
  host.evidence.attempts.proven_ipv6_unanswered = 15;
  Try(host, 120, 15, 35s);
  CHECK(host.Firing().empty());
  host.evidence.attempts.proven_ipv6_unanswered = 34;
  Try(host, 120, 34, 35s);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered warning "});
  CHECK(host.Find(AlertKind::kConnectionsUnanswered)->description.find("34 of the 45 proven IPv6") !=
        std::string::npos);
}

TEST_CASE("one family of a small network is no longer answered, though too few of all for an alert") {
  Host host;
  host.evidence.attempts.proven_ipv6_sources = 15;
  Try(host, 40, 0, 90s);
  host.evidence.attempts.proven_ipv6_unanswered = 15;
  Try(host, 40, 15, 35s);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered warning "});
  CHECK(host.Find(AlertKind::kConnectionsUnanswered)->description.find("15 of the 15 proven IPv6") !=
        std::string::npos);
}

TEST_CASE("forty of a hundred regulars without an answer are told, four of ten are not") {
  Host host;
  const std::uint64_t sources = GENERATE(100U, 10U);
  Try(host, sources, 0, 90s);
  Try(host, sources, sources * 2 / 5, 35s);
  CHECK(host.Firing() == (sources == 100 ? Strings{"ConnectionsUnanswered warning "} : Strings{}));
}

TEST_CASE("a night in which only they are left who fail all day is no trouble") {
  Host host;
  host.Answers(443, 20, 0);
  const auto run = [&](std::uint64_t sources, std::uint64_t unanswered, std::chrono::seconds duration) {
    for (std::chrono::seconds second{0}; second < duration; ++second) {
      host.evidence.answers = std::make_shared<AnswerFigures>(*host.evidence.answers);
      host.evidence.attempts.proven_sources = sources;
      host.evidence.attempts.proven_unanswered = unanswered;
      host.evidence.attempts.proven_failed = 8;
      host.Run(1s);
    }
  };
  run(12, 0, 300s);  // by day they also get answers
  run(5, 4, 120s);
  CHECK(host.Firing().empty());
}

TEST_CASE("an outage that is spread thin over many services is told, and some of them that die are not") {
  Host host;
  const auto ask = [&](std::uint16_t dead, std::chrono::seconds duration) {
    for (std::chrono::seconds second{0}; second < duration; ++second) {
      for (std::uint16_t port = 1; port <= 31; ++port)
        host.Answers(port, port <= dead ? 0 : 10, 0, 6, "192.0.2.1", 2, port <= dead ? 10 : 0);
      host.Run(1s);
    }
  };
  ask(0, 90s);
  ask(15, 90s);
  CHECK(host.Firing().empty());
  ask(0, 90s);
  ask(31, 55s);
  CHECK(host.Firing() == Strings{"ConnectionsUnanswered critical "});
  CHECK(host.Find(AlertKind::kConnectionsUnanswered)->description.find("and 28 more") != std::string::npos);
  ask(0, 10s);
  CHECK(host.Firing().empty());
}

TEST_CASE("what is usual survives a restart in the middle of the trouble") {
  Host host;
  Try(host, 40, 1, 90s);
  auto saved = host.reader.Save();
  saved["age_seconds"] = 10;
  Host restarted;
  REQUIRE(restarted.reader.Restore(saved).empty());
  Try(restarted, 40, 36, 32s);
  CHECK(restarted.Firing() == Strings{"ConnectionsUnanswered critical "});
  saved["answers"]["services"] = {{"192.0.2.1", 443, 6, "many", 0, 0, 0, 0}};
  CHECK_FALSE(AlertReader().Restore(saved).empty());
}

TEST_CASE("services that are followed are bounded") {
  Host host;
  auto answers = std::make_shared<AnswerFigures>();
  for (std::uint16_t port = 1; port <= 3000; ++port) answers->services.push_back({{}, port, 6, 10, 0, 0, 1});
  host.evidence.answers = answers;
  host.Run(3s);
  CHECK(host.reader.memory_bytes() < 1'000'000);
}
