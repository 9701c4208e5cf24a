#include "daemon/alerts/evidence/rate_windows.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {
SteadyTime At(int second) { return SteadyTime{} + std::chrono::seconds(second); }
}  // namespace

TEST_CASE("what a counter showed at first has not risen lately, what it rose by has, for as long as the window") {
  RisenLately risen(60s);
  risen.Add(At(0), 5000);
  CHECK(risen.sum() == 0);
  risen.Add(At(10), 5003);
  risen.Add(At(20), 5003);
  CHECK(risen.sum() == 3);
  risen.Add(At(70), 5003);
  CHECK(risen.sum() == 3);
  risen.Add(At(71), 5003);
  CHECK(risen.sum() == 0);
}

TEST_CASE("a counter that falls begins anew") {
  RisenLately risen(60s);
  risen.Add(At(0), 100);
  risen.Add(At(1), 10);
  CHECK(risen.sum() == 0);
  risen.Add(At(2), 12);
  CHECK(risen.sum() == 2);
}

TEST_CASE("an even flow has its rate, however large the batches it is told in") {
  const int period = GENERATE(1, 5, 11);
  BatchedRate rate;
  std::uint64_t total = 7000;
  for (int second = 0; second < 100; ++second) {
    if (second % period == 0) total += 10 * static_cast<std::uint64_t>(period);
    rate.Add(At(second), total);
    if (second >= 2 * period) CHECK(rate.PerSecond(At(second)) == Approx(10));
  }
}

TEST_CASE("one packet, or one burst of them, is soon no rate any more") {
  BatchedRate rate;
  rate.Add(At(0), 3);
  for (int second = 1; second < 100; ++second) rate.Add(At(second), 13);
  CHECK(rate.PerSecond(At(100)) < 0.2);
}

TEST_CASE("a flow that ends fades, and a counter that falls begins anew") {
  BatchedRate rate;
  for (int second = 0; second < 60; ++second) rate.Add(At(second), 10 * static_cast<std::uint64_t>(second));
  rate.Add(At(80), 590);
  CHECK(rate.PerSecond(At(80)) < 6);
  CHECK(rate.PerSecond(At(600)) < 1);
  rate.Add(At(601), 5);
  CHECK(rate.PerSecond(At(601)) == 0);
}

TEST_CASE("a gap spreads what was counted in it") {
  BatchedRate rate;
  rate.Add(At(0), 0);
  rate.Add(At(1), 10);
  rate.Add(At(21), 210);
  CHECK(rate.PerSecond(At(21)) == Approx(10));
}
