#include "collectors/conntrack/event_proof.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

// Comparisons one after another, each with what it set right.
struct Comparisons {
  EventProof proof;
  EventProof::Comparison last{.corrections = {}, .connections = 100};

  std::uint64_t Next(std::uint64_t missed, std::uint64_t stale, std::uint64_t stale_told_of, std::uint64_t lost = 0) {
    last.corrections.missed += missed;
    last.corrections.stale += stale;
    last.corrections.stale_told_of += stale_told_of;
    last.events_lost += lost;
    return proof.Doubts(last);
  }
  void Calm() {
    for (int i = 0; i < 3; ++i) CHECK(Next(0, 0, 0) == 0);
  }
};

}  // namespace

TEST_CASE("connections that no event told of, and no loss explains, are doubts") {
  Comparisons comparisons;
  comparisons.Calm();
  CHECK(comparisons.Next(4, 0, 0) == 0);
  CHECK(comparisons.Next(50, 0, 0) == 50);
  CHECK(comparisons.Next(0, 30, 30) == 30);
  CHECK(comparisons.Next(0, 0, 0) == 0);
}

TEST_CASE("what is older than the subscription may end untold") {
  Comparisons comparisons;
  comparisons.Calm();
  CHECK(comparisons.Next(0, 5'000, 0) == 0);
}

TEST_CASE("what was before the first comparison is unknown") {
  Comparisons comparisons;
  CHECK(comparisons.Next(900, 0, 0) == 0);
  CHECK(comparisons.Next(900, 0, 0) == 0);
}

TEST_CASE("a loss explains what the comparison after it finds, and the one after that") {
  Comparisons comparisons;
  comparisons.Calm();
  CHECK(comparisons.Next(700, 0, 0, 700) == 0);
  CHECK(comparisons.Next(9, 9, 9) == 0);
  comparisons.Calm();
  CHECK(comparisons.Next(50, 0, 0) == 50);
}

TEST_CASE("without events there is nothing to prove") {
  Comparisons comparisons;
  comparisons.Calm();
  comparisons.last.events_off = true;
  CHECK(comparisons.Next(500, 500, 500) == 0);
  comparisons.last.events_off = false;
  CHECK(comparisons.Next(500, 500, 500) == 0);
}

TEST_CASE("a large table's events on their way are more") {
  Comparisons comparisons;
  comparisons.last.connections = 1'000'000;
  comparisons.Calm();
  CHECK(comparisons.Next(54, 0, 0) == 0);
  CHECK(comparisons.Next(55, 0, 0) == 55);
}
