// Predicts the table's fill, and when it will be full. Connections arrive, and leave as they end: dN/dt = a - dN.
// Extending the start of that curve as a straight line is wrong: arrivals at a steady rate fill the table up to rate x
// life time, and no further. So the slope (growth.h) is extrapolated only for a limited time:
//
//  - Entries with short timeouts (SYN_SENT, TIME_WAIT, all of UDP: by default at most kShortLife) level off that long
//    after their growth began. If they still grow after kShortLifeOver, they live longer than assumed.
//  - The life time of established connections is unknown. Growth that has lasted for T is assumed to continue for
//    kBelievedTimes T: a pool that fills up in a minute is not a leak, and a leak is reported within minutes.
//
// The fill tends to at most the level reached then. If that is below the limit, nothing is predicted.
//
// Pure except for its stored samples. Threads: one owner.
#pragma once

#include <cstdint>
#include <optional>

#include "collectors/table/growth.h"

namespace conntally {

class FillForecast {
 public:
  using Time = Growth::Time;
  static constexpr double kShortLife =
      120;  // seconds: nf_conntrack_tcp_timeout_time_wait, _syn_sent, udp_timeout_stream
  static constexpr double kShortLifeOver = 150;
  static constexpr double kBelievedTimes = 12;

  // About one sample a second; `established` is the number of established TCP connections; nullopt: unknown.
  void Add(Time when, std::uint64_t entries, std::optional<std::uint64_t> established);

  // Entries per second; 0 if it does not grow.
  double EntriesPerSecond() const { return all_.EntriesPerSecond(); }
  // The highest number of entries that the fill tends to; `entries` if it does not grow.
  double Level(std::uint64_t entries) const;
  // +infinity if the level is below the limit, or the table does not grow; 0 if it is full.
  double SecondsUntilFull(std::uint64_t entries, std::uint64_t limit) const;

 private:
  Growth all_;
  Growth established_;
  bool established_known_ = false;
};

}  // namespace conntally
