// Totals over all sources, by protocol and state. Each writer has its own, which no other thread writes, so counting is
// a load and a store; the lanes make the sum of all writers consistent with the rows of SourceTable (epoch.h).
//
// Threads: one writer adds; the reader folds a frozen lane, under the reader's lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "collectors/addresses/network_groups.h"
#include "collectors/tally/epoch.h"

namespace conntally {

// Where a connection is counted: its protocol, and its TCP state or whether it has a reply.
class FlowStateIndex {
 public:
  static constexpr std::uint8_t kTcp = 6;  // IANA
  static constexpr std::size_t kTcpStates = 10;
  static constexpr std::size_t kCount = 256 * 2 + kTcpStates;

  static constexpr FlowStateIndex Tcp(std::uint8_t state) { return FlowStateIndex(512U + state); }
  static constexpr FlowStateIndex Other(std::uint8_t protocol, bool replied) {
    return FlowStateIndex(protocol * 2U + (replied ? 1U : 0U));
  }
  constexpr explicit FlowStateIndex(std::size_t value) : value_(value) {}

  constexpr std::size_t value() const { return value_; }
  constexpr bool is_tcp() const { return value_ >= 512; }
  constexpr std::uint8_t tcp_state() const { return static_cast<std::uint8_t>(value_ - 512); }  // when is_tcp
  constexpr std::uint8_t protocol() const { return is_tcp() ? kTcp : static_cast<std::uint8_t>(value_ / 2); }
  constexpr bool replied() const { return (value_ & 1) != 0; }  // when not is_tcp

  friend constexpr bool operator==(FlowStateIndex, FlowStateIndex) = default;

 private:
  std::size_t value_;
};

// Upper bounds in seconds of the duration histogram; the last bucket is +Inf.
inline constexpr std::array<double, 12> kDurationBoundsSeconds = {0.1, 1,   5,   15,   30,    60,
                                                                  120, 300, 900, 3600, 14400, 86400};

// Of one named network: present numbers, and counts since the start.
struct GroupFigures {
  std::int64_t connections = 0;
  std::int64_t unreplied = 0;
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;
};

struct GroupDelta {
  std::int64_t connections = 0;
  std::int64_t unreplied = 0;
  std::int64_t opened = 0;
  std::int64_t closed = 0;
};

// The reader's sums since the start.
struct TotalFigures {
  std::array<std::int64_t, FlowStateIndex::kCount> connections{};
  std::array<bool, FlowStateIndex::kCount> connections_seen{};  // there was one at some time
  std::array<std::uint64_t, 256> opened{};                      // by protocol
  std::array<std::uint64_t, 256> closed{};
  std::array<std::uint64_t, kDurationBoundsSeconds.size() + 1> durations{};
  std::uint64_t duration_sum_ms = 0;
  std::int64_t unattributed_connections = 0;               // counted above, but in no source's row for lack of room
  std::int64_t unreplied = 0;                              // connections, without those beyond connections_max
  std::array<GroupFigures, kNamedGroupsMax + 1> groups{};  // by GroupIndex; not counted for kOtherGroup

  std::int64_t ConnectionsSum() const {
    std::int64_t sum = 0;
    for (const std::int64_t count : connections) sum += count;
    return sum;
  }
};

class FlowTotals {
 public:
  void AddConnections(std::size_t lane, FlowStateIndex state, int change) {
    Bump(lanes_[lane].connections[state.value()], change);
  }
  void AddOpened(std::size_t lane, std::uint8_t protocol) { Bump(lanes_[lane].opened[protocol], 1); }
  void AddClosed(std::size_t lane, std::uint8_t protocol) { Bump(lanes_[lane].closed[protocol], 1); }
  void AddUnattributed(std::size_t lane, int change, int unreplied) {
    Bump(lanes_[lane].unattributed_connections, change);
    if (unreplied != 0) Bump(lanes_[lane].unattributed_unreplied, unreplied);
  }
  void AddGroup(std::size_t lane, GroupIndex group, const GroupDelta& delta) {
    GroupCounters& counters = lanes_[lane].groups[group];
    if (delta.connections != 0) Bump(counters.connections, delta.connections);
    if (delta.unreplied != 0) Bump(counters.unreplied, delta.unreplied);
    if (delta.opened != 0) Bump(counters.opened, delta.opened);
    if (delta.closed != 0) Bump(counters.closed, delta.closed);
  }
  void AddDuration(std::size_t lane, double seconds) {
    std::size_t bucket = 0;
    while (bucket < kDurationBoundsSeconds.size() && seconds > kDurationBoundsSeconds[bucket]) ++bucket;
    Bump(lanes_[lane].durations[bucket], 1);
    Bump(lanes_[lane].duration_sum_ms, static_cast<std::int64_t>(seconds * 1000));
  }

  // Adds a frozen lane to `figures` and zeroes the lane.
  void TakeLane(std::size_t frozen_lane, TotalFigures& figures) {
    Lane& lane = lanes_[frozen_lane];
    TakeAll(lane.connections, figures.connections);
    for (std::size_t i = 0; i < FlowStateIndex::kCount; ++i) figures.connections_seen[i] |= figures.connections[i] != 0;
    TakeAll(lane.opened, figures.opened);
    TakeAll(lane.closed, figures.closed);
    TakeAll(lane.durations, figures.durations);
    Take(lane.duration_sum_ms, figures.duration_sum_ms);
    Take(lane.unattributed_connections, figures.unattributed_connections);
    Take(lane.unattributed_unreplied, figures.unreplied);
    for (std::size_t i = 0; i < lane.groups.size(); ++i) {
      Take(lane.groups[i].connections, figures.groups[i].connections);
      Take(lane.groups[i].unreplied, figures.groups[i].unreplied);
      Take(lane.groups[i].opened, figures.groups[i].opened);
      Take(lane.groups[i].closed, figures.groups[i].closed);
    }
  }

 private:
  using Counter = std::atomic<std::int64_t>;

  struct alignas(kCacheLineBytes / 2) GroupCounters {
    Counter connections{0};
    Counter unreplied{0};
    Counter opened{0};
    Counter closed{0};
  };

  struct alignas(kCacheLineBytes) Lane {
    std::array<Counter, FlowStateIndex::kCount> connections{};
    std::array<Counter, 256> opened{};
    std::array<Counter, 256> closed{};
    std::array<Counter, kDurationBoundsSeconds.size() + 1> durations{};
    Counter duration_sum_ms{0};
    Counter unattributed_connections{0};
    Counter unattributed_unreplied{0};
    std::array<GroupCounters, kNamedGroupsMax + 1> groups{};
  };

  static void Bump(Counter& counter, std::int64_t change) {
    counter.store(counter.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
  }

  template <typename Sum>
  static void Take(Counter& counter, Sum& sum) {
    const std::int64_t value = counter.load(std::memory_order_relaxed);
    if (value == 0) return;
    sum += static_cast<Sum>(value);
    counter.store(0, std::memory_order_relaxed);
  }

  template <typename Sums, std::size_t kSize>
  static void TakeAll(std::array<Counter, kSize>& counters, Sums& sums) {
    for (std::size_t i = 0; i < kSize; ++i) Take(counters[i], sums[i]);
  }

  std::array<Lane, 2> lanes_;
};

}  // namespace conntally
