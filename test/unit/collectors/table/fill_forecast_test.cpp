#include "collectors/table/fill_forecast.h"

#include <cmath>
#include <functional>

#include "test/support/catch.h"

using namespace conntally;

namespace {

constexpr std::uint64_t kLimit = 262'144;
constexpr double kWarnedWithin = 1800;

// The longest stretch, in seconds, in which the table is predicted to be full within half an hour.
struct Prediction {
  int first = -1;
  int longest = 0;
};
Prediction Follow(int seconds, const std::function<double(int)>& entries,
                  const std::function<double(int)>& established) {
  FillForecast forecast;
  Prediction prediction;
  int stretch = 0;
  for (int i = 0; i < seconds; ++i) {
    const auto now = FillForecast::Time{} + std::chrono::seconds(i + 1);
    const auto fill = static_cast<std::uint64_t>(entries(i));
    forecast.Add(now, fill, static_cast<std::uint64_t>(established(i)));
    const bool within = forecast.SecondsUntilFull(fill, kLimit) <= kWarnedWithin && fill > kLimit / 20;
    stretch = within ? stretch + 1 : 0;
    if (within && prediction.first < 0) prediction.first = i;
    prediction.longest = std::max(prediction.longest, stretch);
  }
  return prediction;
}

double Levels(double arrivals, double life, int second) { return arrivals * life * (1 - std::exp(-second / life)); }

}  // namespace

TEST_CASE(
    "arrivals at a steady rate level off far below the limit, and nothing is predicted for as long as an alert takes") {
  const double arrivals = GENERATE(200.0, 500.0, 900.0);
  const auto closed = [&](int second) { return arrivals * std::min(second, 120); };  // TIME_WAIT: a fixed life
  CHECK(Follow(400, closed, [](int) { return 50.0; }).longest < 60);
}

TEST_CASE("connections of some minutes' life that begin with a balancer are no leak") {
  const double life = GENERATE(30.0, 60.0, 120.0);
  const auto entries = [&](int second) { return Levels(300, life, second); };
  CHECK(Follow(900, entries, entries).longest < 60);
}

TEST_CASE("a pool that fills and then is full is no leak") {
  const auto entries = [](int second) { return 250.0 * std::min(second, 70); };
  CHECK(Follow(400, entries, entries).longest < 60);
}

TEST_CASE("a morning's ramp of arrivals is not predicted to fill the table") {
  const auto entries = [](int second) { return 20'000 + 30'000 * std::min(second / 1800.0, 1.0); };
  CHECK(Follow(2400, entries, [&](int second) { return entries(second) / 4; }).first == -1);
}

TEST_CASE("a leak is predicted within two minutes, and stays so") {
  const double leaked = GENERATE(250.0, 500.0, 1000.0);
  const auto entries = [&](int second) { return 15'000 + leaked * second; };
  const Prediction prediction = Follow(200, entries, [&](int second) { return leaked * second; });
  CHECK(prediction.first >= 0);
  CHECK(prediction.first <= 115);
  CHECK(prediction.longest >= 60);
}

TEST_CASE("a leak beneath a busy host's short connections is predicted as well") {
  const auto entries = [](int second) { return 120'000 + 150.0 * second + 500 * std::sin(second / 3.0); };
  const Prediction prediction = Follow(240, entries, [](int second) { return 40'000 + 150.0 * second; });
  CHECK(prediction.first >= 0);
  CHECK(prediction.first <= 120);
}

TEST_CASE("growth that outlasts what the kernel should let go is believed") {
  const auto entries = [](int second) { return 20'000 + 300.0 * second; };
  CHECK(Follow(400, entries, [](int) { return 100.0; }).longest > 150);
}

TEST_CASE("a full table is full now, and one without a limit never will be") {
  FillForecast forecast;
  for (int i = 0; i < 60; ++i)
    forecast.Add(FillForecast::Time{} + std::chrono::seconds(i), static_cast<std::uint64_t>(i) * 100, std::nullopt);
  CHECK(forecast.SecondsUntilFull(6000, 6000) == 0);
  CHECK(std::isinf(forecast.SecondsUntilFull(6000, 0)));
  CHECK(forecast.SecondsUntilFull(6000, 7000) == Approx(10).epsilon(0.1));
}
