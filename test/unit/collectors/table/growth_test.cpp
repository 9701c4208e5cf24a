#include "collectors/table/growth.h"

#include <cmath>
#include <functional>
#include <random>

#include "test/support/catch.h"

using namespace conntally;

namespace {

constexpr std::uint64_t kLimit = 100'000;

// `fill` by the second, sampled once a second.
Growth Sampled(int seconds, const std::function<double(int second)>& fill) {
  Growth growth;
  const Growth::Time start{};
  for (int i = 0; i < seconds; ++i) growth.Add(start + std::chrono::seconds(i), static_cast<std::uint64_t>(fill(i)));
  return growth;
}

}  // namespace

TEST_CASE("a table that fills evenly is full when the line meets the limit") {
  const Growth growth = Sampled(60, [](int second) { return 10'000 + 100.0 * second; });
  CHECK(growth.EntriesPerSecond() == Approx(100));
  CHECK(growth.SecondsUntilFull(15'900, kLimit) == Approx((kLimit - 15'900) / 100.0));
}

TEST_CASE("a slow fill is seen although most seconds add nothing") {
  const Growth growth = Sampled(60, [](int second) { return 1000 + std::floor(second / 10.0); });
  CHECK(growth.SecondsUntilFull(1006, 2006) == Approx(10'000).epsilon(0.2));
}

TEST_CASE("a table that stands still or empties is never full") {
  CHECK(std::isinf(Sampled(60, [](int) { return 50'000; }).SecondsUntilFull(50'000, kLimit)));
  CHECK(std::isinf(Sampled(60, [](int second) { return 50'000 - 10 * second; }).SecondsUntilFull(49'000, kLimit)));
}

TEST_CASE("a full table is full now, whatever its trend") {
  const Growth falling = Sampled(60, [](int second) { return kLimit - static_cast<unsigned>(second); });
  CHECK(falling.SecondsUntilFull(kLimit, kLimit) == 0);
  CHECK(falling.SecondsUntilFull(kLimit + 5, kLimit) == 0);  // the limit was lowered
  CHECK(Growth().SecondsUntilFull(kLimit, kLimit) == 0);
}

TEST_CASE("a table without a limit is never full") {
  const Growth growth = Sampled(60, [](int second) { return 1000.0 * second; });
  CHECK(std::isinf(growth.SecondsUntilFull(60'000, 0)));
}

TEST_CASE("there is no trend before there are some samples") {
  CHECK(std::isinf(Growth().SecondsUntilFull(10, kLimit)));
  CHECK(std::isinf(Sampled(4, [](int second) { return 1000.0 * second; }).SecondsUntilFull(3000, kLimit)));
  CHECK(Sampled(5, [](int second) { return 1000.0 * second; }).SecondsUntilFull(4000, kLimit) == Approx(96));
}

TEST_CASE("one burst in a level table is no trend") {
  const auto burst = [](int second) { return second >= 30 && second < 40 ? 60'000.0 : 20'000.0; };
  CHECK(std::isinf(Sampled(60, burst).SecondsUntilFull(20'000, kLimit)));
}

TEST_CASE("one step in a level table is no trend once it is a few seconds old, or before") {
  for (const int when : {5, 10, 50, 55}) {
    const auto step = [&](int second) { return second < when ? 20'000.0 : 40'000.0; };
    CHECK(std::isinf(Sampled(60, step).SecondsUntilFull(40'000, kLimit)));
  }
}

// While about half of the samples lie on each side of it, most pairs straddle it.
TEST_CASE("a step passes for a trend for some seconds only, less than an alert's minute") {
  int seconds = 0;
  for (int when = 1; when < 60; ++when) {
    const auto step = [&](int second) { return second < when ? 20'000.0 : 40'000.0; };
    if (!std::isinf(Sampled(60, step).SecondsUntilFull(40'000, kLimit))) ++seconds;
  }
  CHECK(seconds < 10);
}

TEST_CASE("the teeth of the garbage collector's saw do not hide the trend, nor make one") {
  const auto saw = [](int second) { return 20'000.0 + 500.0 * (second % 7); };
  CHECK(std::abs(Sampled(60, saw).EntriesPerSecond()) < 30);  // of the 500 a second by which a tooth rises
  const auto rising = [&](int second) { return saw(second) + 200.0 * second; };
  CHECK(Sampled(60, rising).EntriesPerSecond() == Approx(200).epsilon(0.15));
}

TEST_CASE("noise around a line moves the prediction little") {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(-500, 500);
  const Growth growth = Sampled(60, [&](int second) { return 10'000 + 100.0 * second + noise(random); });
  CHECK(growth.EntriesPerSecond() == Approx(100).epsilon(0.15));
}

TEST_CASE("only the last minute counts") {
  const auto fill = [](int second) { return second < 500 ? 100.0 * second : 50'000.0; };
  CHECK(Sampled(500, fill).EntriesPerSecond() == Approx(100));
  CHECK(Sampled(561, fill).EntriesPerSecond() == 0);
}

TEST_CASE("samples of one and the same moment do no harm") {
  Growth growth;
  for (unsigned i = 0; i < 60; ++i) growth.Add(Growth::Time{}, i);
  CHECK(growth.EntriesPerSecond() == 0);
}
