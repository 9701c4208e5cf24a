// The tracker's clock: centiseconds in 32 bits, the room that a flow has. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace conntally {

// The moment at which a batch of events is applied.
struct TrackerTime {
  std::int32_t centiseconds = 0;  // monotonic, since any fixed moment; it wraps every 497 days
  std::int64_t wall_ns = 0;       // since the epoch, as CTA_TIMESTAMP counts
};

// Converts the kernel's `start_ns` to the tracker's clock. The wall clock may have been set since, so the age may be
// wrong; it is limited to 0 to 248 days, which leaves another 248 days before the clock wraps.
inline std::int32_t OpeningOf(std::uint64_t start_ns, TrackerTime now) {
  constexpr std::uint64_t kNsPerCentisecond = 10'000'000;
  const auto wall_ns = static_cast<std::uint64_t>(now.wall_ns);
  const std::uint64_t age = start_ns < wall_ns ? (wall_ns - start_ns) / kNsPerCentisecond : 0;
  const std::uint64_t age_max = INT32_MAX;
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(now.centiseconds) -
                                   static_cast<std::uint32_t>(std::min(age, age_max)));
}

// Correct for connections that last less than 497 days.
inline double SecondsSince(std::int32_t opened_centiseconds, TrackerTime now) {
  return (static_cast<std::uint32_t>(now.centiseconds) - static_cast<std::uint32_t>(opened_centiseconds)) / 100.0;
}

}  // namespace conntally
