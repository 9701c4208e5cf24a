// Where the table's fill goes, and when it will be full. Connections arrive, and leave as they end: dN/dt = a - dN. A
// straight line through that curve's beginning is wrong: arrivals at a steady rate fill the table up to rate x life
// time, and no further. So the slope (growth.h) is only believed for so long as there is reason to:
//
//  - What the kernel itself lets go soon (SYN_SENT, TIME_WAIT, all of UDP: kShortLife at most by default) levels off
//    that long after its growth began. Where it still grows after kShortLifeOver, its life is longer than we think.
//  - The life of established connections is not known. Growth that has lasted for T is believed to go on for
//    kBelievedTimes T: a pool that fills for a minute and is full is no leak, and a leak is told within minutes.
//
// The level that the fill tends to is where it is then, at most. Below the limit nothing is predicted.
//
// Pure but for its memory of samples. Threads: one owner.
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

  // One sample a second or so; `established` of the TCP connections; nullopt: not known.
  void Add(Time when, std::uint64_t entries, std::optional<std::uint64_t> established);

  // Entries per second; 0 where there is no trend upwards.
  double EntriesPerSecond() const { return all_.EntriesPerSecond(); }
  // Entries that the fill tends to, at most; those there are where it does not grow.
  double Level(std::uint64_t entries) const;
  // +infinity when the level is below the limit, or the table does not grow; 0 when it is full.
  double SecondsUntilFull(std::uint64_t entries, std::uint64_t limit) const;

 private:
  Growth all_;
  Growth established_;
  bool established_known_ = false;
};

}  // namespace conntally
