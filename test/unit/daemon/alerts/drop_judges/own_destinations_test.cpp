#include "daemon/alerts/drop_judges/own_destinations.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

// A host with one destination, asked once a second.
class Host {
 public:
  // Seconds in which it was answered, or its packets were dropped.
  std::size_t Run(std::chrono::seconds lasts, bool answered, std::uint64_t dropped_each = 0,
                  std::uint64_t of_no_rule = 0) {
    std::size_t cut_off = 0;
    for (auto passed = 0s; passed < lasts; passed += 1s) {
      now_ += 1s;
      dropped_ += dropped_each;
      AlertEvidence evidence;
      evidence.now = now_;
      auto answers = std::make_shared<AnswerFigures>();
      if (answered) answers->services.push_back({kDatabase, 5432, 6, 10, 0, 0, 1});
      evidence.answers = answers;
      if (dropped_each > 0) last_ = now_;
      if (dropped_ > 0) evidence.own_drops.push_back({"192.0.2.1", kDatabase, 6, 5432, "rule", dropped_, last_});
      if (of_no_rule > 0) evidence.own_drops.push_back({"192.0.2.1", kDatabase, 6, 5432, "", of_no_rule, last_});
      const auto found = destinations_.Follow(evidence);
      cut_off = found.size();
      for (const auto& each : found) CHECK(each.rule == "rule");
    }
    return cut_off;
  }

 private:
  const IpAddress kDatabase = IpAddress::Parse("198.51.100.2").value();
  OwnDestinations destinations_;
  SteadyTime now_{std::chrono::hours(1)};
  SteadyTime last_{};
  std::uint64_t dropped_ = 0;
};

}  // namespace

TEST_CASE("a regular destination of this host that is dropped and answers nothing is cut off, until it answers again") {
  Host host;
  CHECK(host.Run(200s, true) == 0);
  CHECK(host.Run(10s, false, 2) == 0);
  CHECK(host.Run(15s, false, 2) == 1);
  CHECK(host.Run(5s, true) == 0);
}

TEST_CASE("a destination is cut off once, by the rule that is known, whatever was dropped before it was") {
  Host host;
  host.Run(200s, true);
  CHECK(host.Run(25s, false, 2, 1000) == 1);
}

TEST_CASE("a destination that still answers, or never did, is not cut off") {
  Host answered;
  answered.Run(200s, true);
  CHECK(answered.Run(100s, true, 2) == 0);
  Host stranger;
  CHECK(stranger.Run(300s, false, 2) == 0);
  Host seldom;
  seldom.Run(30s, true);
  CHECK(seldom.Run(100s, false, 2) == 0);
}

TEST_CASE("a few late packets, or ones dropped long ago, are no cut") {
  Host few;
  few.Run(200s, true);
  few.Run(3s, false, 1);
  CHECK(few.Run(60s, false) == 0);
  Host over;
  over.Run(200s, true);
  CHECK(over.Run(40s, false, 2) == 1);
  CHECK(over.Run(20s, false) == 0);
}
