#include "daemon/log/repeat_limit.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

const RepeatLimit::Time kStart{1'700'000'000s};

}  // namespace

TEST_CASE("a line is written, and its repetitions held back for ten seconds") {
  RepeatLimit limit(1);
  CHECK(limit.Judge("lost", kStart).write);
  CHECK_FALSE(limit.Judge("lost", kStart + 1s).write);
  CHECK_FALSE(limit.Judge("lost", kStart + 9999ms).write);
  const auto verdict = limit.Judge("lost", kStart + 10s);
  CHECK(verdict.write);
  CHECK(verdict.held_back == 2);
  CHECK_FALSE(limit.Judge("lost", kStart + 19s).write);
  CHECK(limit.Judge("lost", kStart + 20s).held_back == 1);
}

TEST_CASE("lines that differ only in their numbers are one, others are not") {
  RepeatLimit limit(1);
  CHECK(limit.Judge("12 events lost", kStart).write);
  CHECK_FALSE(limit.Judge("3456 events lost", kStart).write);
  CHECK(limit.Judge("12 events found", kStart).write);
}

TEST_CASE("a clock that was set back silences nothing") {
  RepeatLimit limit(1);
  limit.Judge("lost", kStart);
  CHECK(limit.Judge("lost", kStart - 3600s).write);
  CHECK_FALSE(limit.Judge("lost", kStart - 3599s).write);
}

TEST_CASE("however many different lines there are, a known one is held back or written as new") {
  RepeatLimit limit(1);
  for (std::size_t i = 0; i < RepeatLimit::kLinesMax; ++i) {
    CHECK(limit.Judge(std::string(i + 1, 'x'), kStart).write);
  }
  CHECK_FALSE(limit.Judge("x", kStart).write);  // full, and it is known
  CHECK(limit.Judge("another", kStart).write);  // all are forgotten
  CHECK(limit.Judge("x", kStart).write);
  CHECK_FALSE(limit.Judge("x", kStart).write);
}

TEST_CASE("some lines that differ only in their numbers are written, each pause anew") {
  RepeatLimit limit(3);
  for (int i = 0; i < 3; ++i) CHECK(limit.Judge("192.0.2." + std::to_string(i) + " is over its limit", kStart).write);
  CHECK_FALSE(limit.Judge("192.0.2.4 is over its limit", kStart + 1s).write);
  CHECK(limit.Judge("192.0.2.4 is over its limit", kStart + 10s).held_back == 1);
  CHECK(limit.Judge("192.0.2.5 is over its limit", kStart + 10s).write);
}
