#include "collectors/conntrack/gather_pace.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

const GatherPace::Time kStart{};
constexpr std::uint64_t kLarge = 52'428;  // events, which 64 MiB of receive buffer hold

// The pause after 10 ms in which `events` came.
GatherPace::Duration PauseAfter10Ms(std::uint64_t events, std::uint64_t capacity_events = kLarge) {
  GatherPace pace(capacity_events, kStart);
  pace.NoteEvents(kStart + 10ms, events);
  return pace.Pause(kStart + 10ms);
}

}  // namespace

TEST_CASE("few events gather longer than many, within bounds") {
  CHECK(PauseAfter10Ms(10, 2 * kLarge) == 40ms);
  CHECK(PauseAfter10Ms(10) < 33ms);  // a quarter of the buffer, at the fastest burst
  CHECK(PauseAfter10Ms(1500) == 10ms);
  CHECK(PauseAfter10Ms(1'000'000) == 5ms);
}

TEST_CASE("a small buffer is read so often that a burst does not fill it") {
  // At 400,000 a second a quarter of that comes in 0.1 ms.
  CHECK(PauseAfter10Ms(1, 166) <= 110us);
}

TEST_CASE("it is idle once no event came for a while, and not before") {
  GatherPace pace(kLarge, kStart);
  pace.NoteEvents(kStart + 1s, 1);
  pace.NoteEvents(kStart + 1090ms, 0);
  CHECK_FALSE(pace.idle(kStart + 1100ms));
  CHECK(pace.idle(kStart + 1101ms));
}
