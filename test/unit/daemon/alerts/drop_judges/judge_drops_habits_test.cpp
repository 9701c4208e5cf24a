#include "test/support/catch.h"
#include "test/unit/daemon/alerts/drop_judges/served_host.h"

using namespace conntally;
using namespace std::chrono_literals;

TEST_CASE("what a rule does to regulars all day is its work, and what is far more is told") {
  Served host(40, 4, 0s);
  const bool restarted = GENERATE(false, true);
  host.Reject("ip daddr @advertisers reject");
  for (int i = 0; i < 40; ++i) host.Lose(1 + i % 8, 4 + i % 8, 0.7, 10s, "ip daddr @advertisers reject");
  CHECK(host.Firing().empty());
  if (restarted) {
    auto saved = host.reader.Save();
    saved["age_seconds"] = 10;
    REQUIRE(host.reader.Restore(saved).empty());
  }
  host.Lose(1, 40, 0.7, 50s, "ip daddr @advertisers reject");
  CHECK(host.Firing() == Strings{"RegularSourcesDropped critical "});
}

TEST_CASE("machines whose people go home report to a blocked maker as before: nothing changed at the rule") {
  Served host(40, 4, 0s);
  const std::uint16_t port =
      GENERATE(kPort, std::uint16_t{8009});  // one that answers elsewhere, and one that never did
  host.Lose(1, 20, 0.2, 240s, "ip daddr @trackers drop", port, 1);
  SECTION("they go home") {
    host.Lose(1, 20, 0.2, 240s, "ip daddr @trackers drop", port);
    CHECK(host.Firing().empty());
  }
  SECTION("the rule now stops them") {
    host.Lose(1, 20, 0.8, 60s, "ip daddr @trackers drop");
    CHECK(host.Firing() == Strings{"RegularSourcesDropped critical "});
  }
}

TEST_CASE("sources that come and go at a rule, as guests whose login expires, are its work") {
  Served host(40, 4, 500s);
  const bool come_and_go = GENERATE(true, false);
  if (come_and_go) {
    host.Lose(1, 4, 2, 6s, "not logged in drop");
    for (auto& source : host.evidence.dropped) source.figures.opened += 100;
    host.Run(25s);
  }
  host.Lose(20, 24, 2, 30s, "not logged in drop");
  CHECK((host.Find(AlertKind::kRegularSourcesDropped, "", "not logged in drop") == nullptr) == come_and_go);
}

TEST_CASE("guests that get through again after seconds excuse the rule for those that do not, and do not count") {
  Served host(40, 4, 500s);
  const bool get_through = GENERATE(true, false);
  host.Lose(1, 9, 2, 6s, "not logged in drop");
  for (int second = 0; second < 13; ++second) {
    if (get_through) host.Open(1, 4);
    host.Lose(get_through ? 5 : 1, 9, 2, 1s, "not logged in drop");
  }
  CHECK((host.Find(AlertKind::kRegularSourcesDropped, "", "not logged in drop") == nullptr) == get_through);
}

TEST_CASE("in the daemon's first minutes few must lose packets for longer, and many need not") {
  const auto [quiet, clients, told] =
      GENERATE(table<std::chrono::seconds, int, bool>({{100s, 8, false}, {100s, 14, true}, {400s, 8, true}}));
  Served host(40, 4, quiet);
  host.Lose(1, clients, 1, 22s, "wrong drop");
  CHECK((host.Find(AlertKind::kRegularSourcesDropped, "", "wrong drop") != nullptr) == told);
  host.Lose(1, clients, 1, 12s, "wrong drop");
  CHECK(host.Find(AlertKind::kRegularSourcesDropped, "", "wrong drop") != nullptr);
}
