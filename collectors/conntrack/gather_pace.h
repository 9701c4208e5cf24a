// How long events may wait in the receive buffer between two reads. Long enough for many to arrive, since each wake-up
// starts with cold caches, and more events share that cost. Short enough that the tallies stay fresh, and that a sudden
// burst does not fill the buffer.
//
// Pure: time is a parameter. Threads: one owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace conntally {

class GatherPace {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  static constexpr std::uint64_t kEnoughEvents = 1500;
  static constexpr std::chrono::milliseconds kPauseMin{5};
  static constexpr std::chrono::milliseconds kPauseMax{40};
  static constexpr std::chrono::milliseconds kIdleAfter{100};

  // `capacity_events`: how many events may wait.
  GatherPace(std::uint64_t capacity_events, Time now)
      : quarter_fill_(std::chrono::nanoseconds(capacity_events * 1'000'000'000 / (4 * kBurstEventsPerSecond))),
        last_event_(now),
        last_pause_(now) {}

  void NoteEvents(Time now, std::uint64_t count) {
    if (count > 0) last_event_ = now;
    since_last_pause_ += count;
  }

  // No event for so long that it is better to wait for the next one.
  bool idle(Time now) const { return now - last_event_ > kIdleAfter; }

  // How long to pause now, by the event rate since the last pause.
  Duration Pause(Time now) {
    const Duration elapsed =
        std::clamp<Duration>(now - last_pause_, std::chrono::milliseconds(1), std::chrono::seconds(1));
    const Duration enough = elapsed * kEnoughEvents / std::max<std::uint64_t>(since_last_pause_, 1);
    last_pause_ = now;
    since_last_pause_ = 0;
    return std::min<Duration>(std::clamp<Duration>(enough, kPauseMin, kPauseMax), quarter_fill_);
  }

 private:
  static constexpr std::uint64_t kBurstEventsPerSecond = 400'000;  // one core's worth of new connections

  Duration quarter_fill_;
  Time last_event_;
  Time last_pause_;
  std::uint64_t since_last_pause_ = 0;
};

}  // namespace conntally
