#include "daemon/alerts/judges/judge_sources.h"

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/judged_host.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

void Steady(Host& host, const std::string& source, double rate, std::chrono::seconds duration) {
  host.Source(source).new_rate = rate;
  host.Run(duration);
}

}  // namespace

TEST_CASE("a steady rate, however high, is a resolver's or a balancer's work") {
  Host host;
  const double rate = GENERATE(250.0, 3000.0);
  Steady(host, "192.0.2.7", rate, 400s);
  Steady(host, "192.0.2.7", rate * 1.5, 100s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a source that opens far more than it did churns, by the configured rates, and clears") {
  Host host;
  Steady(host, "192.0.2.7", 5, 120s);
  Steady(host, "192.0.2.7", 400, 29s);
  CHECK(host.Firing().empty());
  Steady(host, "192.0.2.7", 400, 6s);
  CHECK(host.Firing() == Strings{"SourceConnectionChurn warning 192.0.2.7"});
  Steady(host, "192.0.2.7", 2500, 35s);
  CHECK(host.Firing() == Strings{"SourceConnectionChurn critical 192.0.2.7"});
  Steady(host, "192.0.2.7", 5, 10s);
  CHECK(host.Firing().empty());
}

TEST_CASE("churn goes on being told for as long as it lasts, up to half an hour") {
  Host host;
  Steady(host, "192.0.2.7", 5, 120s);
  Steady(host, "192.0.2.7", 400, 35s);
  for (int minute = 0; minute < 20; ++minute) {
    host.Run(60s);
    REQUIRE(host.Firing() == Strings{"SourceConnectionChurn warning 192.0.2.7"});
  }
}

TEST_CASE("a source that nobody knew, and that opens hundreds a second, churns") {
  Host host;
  host.Run(120s);
  Steady(host, "198.51.100.9", 600, 35s);
  CHECK(host.Firing() == Strings{"SourceConnectionChurn warning 198.51.100.9"});
}

TEST_CASE("while nobody's past is known, nothing is called churn") {
  Host host;
  Steady(host, "192.0.2.7", 1000, 70s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a balancer that warms up over minutes, and a burst on the minute, are no churn") {
  Host host;
  SECTION("warms up") {
    Steady(host, "192.0.2.7", 0, 120s);
    for (int second = 0; second < 240; ++second) Steady(host, "192.0.2.7", second * 2.5, 1s);
    Steady(host, "192.0.2.7", 600, 300s);
  }
  SECTION("bursts") {
    Steady(host, "192.0.2.7", 2, 120s);
    for (int minute = 0; minute < 5; ++minute) {
      Steady(host, "192.0.2.7", 500, 20s);
      Steady(host, "192.0.2.7", 2, 40s);
      CHECK(host.Firing().empty());
    }
  }
  CHECK(host.Firing().empty());
}

TEST_CASE("that the host itself opens connections in hundreds is no news") {
  Host host;
  Steady(host, "192.0.2.1", 5, 120s);
  host.evidence.sources[0].own = true;
  Steady(host, "192.0.2.1", 800, 20s);
  CHECK(host.Firing().empty());
  Steady(host, "192.0.2.1", 1500, 35s);
  CHECK(host.Firing() == Strings{"SourceConnectionChurn warning 192.0.2.1"});
}

TEST_CASE("past rates survive a restart, and strange ones are refused") {
  Host host;
  Steady(host, "192.0.2.7", 400, 200s);
  auto saved = host.reader.Save();
  saved["age_seconds"] = 5;
  Host restarted;
  CHECK(restarted.reader.Restore(saved).empty());
  Steady(restarted, "192.0.2.7", 450, 200s);
  Steady(restarted, "192.0.2.8", 450, 35s);
  CHECK(restarted.Firing() == Strings{"SourceConnectionChurn warning 192.0.2.8"});
  saved["sources"] = {{"192.0.2.7", {"fast"}}};
  CHECK_FALSE(AlertReader().Restore(saved).empty());
}

TEST_CASE("what is remembered of sources is bounded, and counted") {
  Host host;
  for (int second = 0; second < 20; ++second) {
    host.evidence.sources.clear();
    for (int i = 0; i < 200; ++i) {
      const int number = second * 200 + i;
      host.Source(fmt::format("10.0.{}.{}", number / 250, number % 250 + 1)).new_rate = 100;
    }
    host.Look();
  }
  CHECK(host.reader.turned_away() > 0);
  CHECK(host.reader.memory_bytes() < 2'000'000);
}
