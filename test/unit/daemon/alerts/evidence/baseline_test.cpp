#include "daemon/alerts/evidence/baseline.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

struct Followed {
  void Run(std::chrono::seconds duration, double value, bool unusual = false) {
    for (std::chrono::seconds i{0}; i < duration; ++i) baseline.Add(now += 1s, value, unusual);
  }
  Baseline baseline;
  SteadyTime now = SteadyTime{} + 1h;
};

}  // namespace

TEST_CASE("the past is not known before a minute or so, and then is what it was") {
  Followed followed;
  followed.Run(60s, 40);
  CHECK_FALSE(followed.baseline.known());
  followed.Run(30s, 40);
  CHECK(followed.baseline.known());
  CHECK(followed.baseline.Median() == Approx(40));
}

TEST_CASE("bursts move neither the median nor what is high") {
  Followed followed;
  for (int i = 0; i < 10; ++i) {
    followed.Run(285s, 10);
    followed.Run(15s, 1000);
  }
  CHECK(followed.baseline.Median() == Approx(10));
  CHECK(followed.baseline.High() < 20);
}

TEST_CASE("what is unusual is kept out of the past for half an hour, and then is usual") {
  Followed followed;
  followed.Run(300s, 10);
  followed.Run(29min, 1000, true);
  CHECK(followed.baseline.High() == Approx(10));
  followed.Run(40min, 1000, true);
  CHECK(followed.baseline.Median() == Approx(1000));
}

TEST_CASE("an hour is remembered, in bounded memory, saved and restored") {
  Followed followed;
  followed.Run(5h, 10);
  followed.Run(70min, 20);
  CHECK(followed.baseline.Median() == Approx(20));
  CHECK(followed.baseline.bytes() < 1200);
  Baseline restored;
  CHECK(restored.Restore(followed.baseline.Save()));
  CHECK(restored.High() == Approx(20));
  for (const char* strange : {"[1, \"two\"]", "{\"a\": 1}", "7", "[null]", "[1e300]"})
    CHECK_FALSE(restored.Restore(nlohmann::json::parse(strange)));
}
