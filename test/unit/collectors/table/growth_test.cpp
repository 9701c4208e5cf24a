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
  CHECK(std::isinf(Sampled(7, [](int second) { return 1000.0 * second; }).SecondsUntilFull(6000, kLimit)));
  CHECK(Sampled(8, [](int second) { return 1000.0 * second; }).SecondsUntilFull(7000, kLimit) == Approx(93));
}

TEST_CASE("one burst in a level table is no trend") {
  const auto burst = [](int second) { return second >= 30 && second < 40 ? 60'000.0 : 20'000.0; };
  CHECK(std::isinf(Sampled(60, burst).SecondsUntilFull(20'000, kLimit)));
}

TEST_CASE("a step in a level table is never a trend, however old it is") {
  for (int age = 1; age < 400; ++age) {
    const auto step = [&](int second) { return second < 400 - age ? 20'000.0 : 40'000.0; };
    INFO("age " << age);
    CHECK(std::isinf(Sampled(400, step).SecondsUntilFull(40'000, kLimit)));
  }
}

TEST_CASE("the teeth of the garbage collector's saw do not hide the trend, nor make one") {
  const auto saw = [](int second) { return 20'000.0 + 500.0 * (second % 7); };
  for (int seconds = 30; seconds < 120; ++seconds) {
    INFO(seconds << " seconds");
    CHECK(Sampled(seconds, saw).EntriesPerSecond() == 0);
  }
  const auto rising = [&](int second) { return saw(second) + 200.0 * second; };
  CHECK(Sampled(60, rising).EntriesPerSecond() == Approx(200).epsilon(0.15));
}

// A load that comes and goes each minute or two, of half the table: after two teeth it is known for what it is.
TEST_CASE("a saw of long teeth is no trend from its third tooth on") {
  const int period = GENERATE(20, 45, 60, 120, 240);
  const auto saw = [&](int second) { return 10'000.0 + 50'000.0 * (second % period) / period; };
  for (int second = 2 * period + 2; second < 6 * period; second += 3) {
    INFO("period " << period << ", second " << second);
    CHECK(Sampled(second, saw).SecondsUntilFull(static_cast<std::uint64_t>(saw(second - 1)), kLimit) > 1800);
  }
}

TEST_CASE("a ramp with long teeth is judged over several of them") {
  const int period = GENERATE(10, 20, 40);
  const auto fill = [&](int second) { return 10'000.0 + 100.0 * second + 3000.0 * (second % period) / period; };
  for (int second = 4 * period + 10; second < 300; second += 5) {
    INFO("period " << period << ", second " << second);
    CHECK(Sampled(second, fill).EntriesPerSecond() == Approx(100).epsilon(0.25));
  }
}

TEST_CASE("a ramp after one that was flushed is seen all the same") {
  const auto fill = [](int second) {
    return second < 100 ? 900.0 * second : second < 130 ? 1000.0 : 1000.0 + 500.0 * (second - 130);
  };
  for (int second = 150; second < 300; second += 10)
    CHECK(Sampled(second, fill).EntriesPerSecond() == Approx(500).epsilon(0.1));
}

// The claim: within a fifth of the truth over the last half of a steady ramp, long or short, whatever was before.
TEST_CASE("a steady ramp is predicted within a fifth of the truth over its last half") {
  const int level_seconds = GENERATE(0, 5, 60, 1000);
  const int ramp_seconds = GENERATE(40, 60, 120, 600, 3000);
  const double noise_share = GENERATE(0.0, 0.002);  // of the limit
  std::mt19937 random(7);
  std::uniform_real_distribution<double> noise(-noise_share * kLimit, noise_share * kLimit);
  const double from = 5000;
  const double slope = (kLimit - from) / ramp_seconds;
  Growth growth;
  int wrong = 0, looked = 0;
  for (int i = 0; i < level_seconds + ramp_seconds - 1; ++i) {
    const int ramped = std::max(0, i - level_seconds);
    const auto entries = static_cast<std::uint64_t>(std::max(0.0, from + slope * ramped + noise(random)));
    growth.Add(Growth::Time{} + std::chrono::seconds(i), entries);
    if (ramped < ramp_seconds / 2) continue;
    const double truth = ramp_seconds - ramped;
    if (truth * slope < 4 * noise_share * kLimit) continue;  // where the noise is as large as what is left
    ++looked;
    const double told = growth.SecondsUntilFull(entries, kLimit);
    if (std::abs(told - truth) > 0.2 * truth) ++wrong;
  }
  INFO("level " << level_seconds << ", ramp " << ramp_seconds << ", noise " << noise_share << ": " << wrong << " of "
                << looked);
  CHECK(looked > 0);
  // Noise may hide the beginning of a line for a moment.
  CHECK(wrong <= (noise_share == 0 ? 0 : looked / 20));
}

TEST_CASE("a gap between samples changes nothing") {
  Growth growth;
  const auto add = [&](int second) {
    growth.Add(Growth::Time{} + std::chrono::seconds(second), 10'000 + 100 * static_cast<unsigned>(second));
  };
  for (int second = 0; second < 60; ++second) add(second);
  for (int second = 100; second < 120; ++second) add(second);
  CHECK(growth.EntriesPerSecond() == Approx(100));
}

TEST_CASE("noise around a line moves the prediction little") {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(-500, 500);
  const Growth growth = Sampled(60, [&](int second) { return 10'000 + 100.0 * second + noise(random); });
  CHECK(growth.EntriesPerSecond() == Approx(100).epsilon(0.15));
}

TEST_CASE("a table that stopped growing is soon seen to stand") {
  const auto fill = [](int second) { return second < 500 ? 100.0 * second : 50'000.0; };
  CHECK(Sampled(500, fill).EntriesPerSecond() == Approx(100));
  CHECK(Sampled(515, fill).EntriesPerSecond() == 0);
}

TEST_CASE("samples of one and the same moment do no harm") {
  Growth growth;
  for (unsigned i = 0; i < 60; ++i) growth.Add(Growth::Time{}, i);
  CHECK(growth.EntriesPerSecond() == 0);
}
