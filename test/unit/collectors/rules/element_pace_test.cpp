#include "collectors/rules/element_pace.h"

#include "test/support/catch.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

TEST_CASE("the first reading of elements costs nothing of what later ones may take") {
  ElementPace pace;
  const ElementPace::Time now = ElementPace::Time() + 1h;
  CHECK(pace.Due(now));
  pace.Spent(1s, now);
  CHECK(pace.Due(now));
}

TEST_CASE("large sets are read for a hundredth of the time") {
  ElementPace pace;
  ElementPace::Time now = ElementPace::Time() + 1h;
  std::chrono::nanoseconds spent{};
  const ElementPace::Time end = now + 1h;
  for (; now < end; now += 500ms) {
    if (!pace.Due(now)) continue;
    pace.Spent(700ms, now);
    spent += 700ms;
  }
  CHECK(spent > 35s);
  CHECK(spent < 39s);
}

TEST_CASE("small sets wait for nothing when one reading of them took long") {
  ElementPace pace;
  ElementPace::Time now = ElementPace::Time() + 1h;
  for (int i = 0; i < 100; ++i, now += 500ms) {
    CHECK(pace.Due(now));
    pace.Spent(i % 20 == 19 ? 2s : 1ms, now);
  }
}

}  // namespace
}  // namespace conntally
