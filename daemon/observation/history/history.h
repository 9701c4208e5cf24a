// The last hour, for charts: every kInterval one sample of the totals, and of the sources that stand out. Fixed memory:
// kSamples samples of 76 bytes, and kSamples points of 12 bytes for each of kSourcesMax sources; some 580 KB in all.
//
// A source gets points while Add receives it. A new source displaces the one not seen for the longest time. This is not
// counted as an overflow: the displaced source had left the ranking.
//
// Pure: depends only on samples and the time. Any thread; a mutex guards it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/tally/flow_totals.h"
#include "daemon/observation/history/recent_rates.h"

namespace conntally {

// Connections by state, coarse enough for a chart.
enum class StateGroup : std::uint8_t { kTcpOpening, kTcpEstablished, kTcpClosing, kUdpReplied, kUdpUnreplied, kOther };
inline constexpr std::size_t kStateGroups = 6;
const char* NameOf(StateGroup group);  // "tcp_opening" ...
StateGroup GroupOf(FlowStateIndex state);
std::array<std::int64_t, kStateGroups> GroupStates(const TotalFigures& totals);

struct HistorySample {
  std::uint64_t entries = 0;  // 0 with `limit` 0: not known
  std::uint64_t limit = 0;
  std::uint64_t sources = 0;
  CounterRates rates;
  std::array<std::int64_t, kStateGroups> connections{};
};

struct SourceSample {
  IpAddress source;
  std::int64_t connections = 0;
  double new_rate = 0;   // connections per second
  double drop_rate = 0;  // packets per second
};

class History {
 public:
  static constexpr std::chrono::seconds kInterval{10};
  static constexpr std::size_t kSamples = 360;
  static constexpr std::size_t kSourcesMax = 128;
  static constexpr std::size_t kSourcesPerSample = 64;  // Add ignores further ones

  void Add(std::chrono::sys_seconds when, const HistorySample& sample, const std::vector<SourceSample>& sources);

  // {"interval_seconds": 10, "times": [seconds since the epoch ...], "entries": [...], ...}: columns of equal length,
  // oldest first.
  std::string Json() const;
  // The same for one source: null where it did not stand out; no times at all if it never did.
  std::string Json(const IpAddress& source, const std::string& name) const;

 private:
  struct Moment {
    std::int64_t when = 0;  // seconds since the epoch
    std::uint32_t entries = 0, limit = 0, sources = 0;
    std::array<float, 6> rates{};
    std::array<std::uint32_t, kStateGroups> connections{};
  };
  struct Point {
    static constexpr std::uint32_t kAbsent = UINT32_MAX;
    std::uint32_t connections = kAbsent;
    float new_rate = 0;
    float drop_rate = 0;
  };
  struct Track {
    std::vector<Point> points = std::vector<Point>(kSamples);
    std::uint64_t last_added = 0;
  };

  Track* TrackOf(const IpAddress& source);
  // Slots of the rings, oldest first.
  std::size_t size() const { return added_ < kSamples ? static_cast<std::size_t>(added_) : kSamples; }
  std::size_t SlotOf(std::size_t index) const { return static_cast<std::size_t>((added_ - size() + index) % kSamples); }

  mutable std::mutex mutex_;
  std::uint64_t added_ = 0;
  std::vector<Moment> moments_;
  std::map<IpAddress, Track> tracks_;
};

}  // namespace conntally
