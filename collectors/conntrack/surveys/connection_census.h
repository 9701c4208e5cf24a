// Counts the connections that limits cover, by source, as the kernel's own lists of connections (nf_conncount) do,
// which the kernel does not expose.
//
// The tallies have all connections of a source; a limit covers some of them: those to a port or of a protocol, and
// never closed TCP connections (TIME_WAIT, CLOSE), which the kernel's lists drop. Limits are few and seldom change. So
// a census walks the flow table, a slice at a time between events, and only on request; event processing pays nothing.
// It takes some 60 ns per connection. The next one begins at least a second later, and a census takes at most a
// fiftieth of the time. So counts are one second old, or some seconds with a million connections.
//
// A connection that lives throughout a census is counted exactly once.
//
// Threads: Step on the flow table's owner's; all others on any.
//
// Source: net/netfilter/nf_conncount.c (already_closed; lists are by key and zone).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "collectors/addresses/keyed_hash.h"
#include "collectors/addresses/ranges.h"
#include "collectors/conntrack/flows/flow_tracker.h"
#include "collectors/conntrack/surveys/survey_pace.h"
#include "collectors/tally/turned_away.h"

namespace conntally {

// A condition on a connection's original tuple.
struct ConnectionCondition {
  enum class Of : std::uint8_t { kSource, kDestination, kProtocol, kSourcePort, kDestinationPort };
  Of of = Of::kProtocol;
  bool negated = false;
  AddressRanges addresses;           // of kSource and kDestination
  std::vector<NumberRange> numbers;  // of the others; a protocol without ports never satisfies a port condition

  bool Holds(const FlowKey& key) const;
  friend bool operator==(const ConnectionCondition&, const ConnectionCondition&) = default;
};

// The connections that a limit counts, and the prefix that it counts by.
struct CoveredConnections {
  using Conditions = std::vector<ConnectionCondition>;  // all must hold

  Family family = Family::kIpv4;
  std::uint8_t prefix = 32;  // sources in the same prefix are counted together
  Conditions all;
  std::vector<Conditions> none;  // connections that satisfy one of these are not covered

  bool Covers(const FlowKey& key) const;
  friend bool operator==(const CoveredConnections&, const CoveredConnections&) = default;
};

struct Census {
  struct Hash {
    KeyedHash keyed;
    std::size_t operator()(const IpAddress& address) const { return keyed(std::as_bytes(std::span(address.bytes))); }
  };
  using Counts = std::unordered_map<IpAddress, std::uint32_t, Hash>;

  std::shared_ptr<const std::vector<CoveredConnections>> of;
  SourceGrouping grouping;
  std::vector<Counts> counts;  // by `of`

  // How many connections of of[index] the source has, or its prefix if the limit counts per prefix. If sources are
  // grouped more coarsely than the limit counts, the largest count in the group.
  std::uint64_t Count(std::size_t index, const IpAddress& source) const;
};

class ConnectionCensus {
 public:
  static constexpr std::size_t kSourcesMax = 1 << 20;  // over all limits; further ones are omitted, and counted
  static constexpr std::size_t kLeftOutMax = 65'536;   // remembered, so that each is counted once

  ConnectionCensus(SourceGrouping grouping, KeyedHash hash, std::size_t sources_max = kSourcesMax)
      : grouping_(grouping), hash_(hash), sources_max_(sources_max) {}

  // Sets what to count from now on; empty: nothing.
  void Ask(std::shared_ptr<const std::vector<CoveredConnections>> covered);
  // Null before the first census has ended.
  std::shared_ptr<const Census> last() const;
  std::uint64_t sources_turned_away() const { return sources_turned_away_.load(std::memory_order_relaxed); }

  // True while there is more to do at once.
  using Clock = SurveyPace::Clock;
  bool Step(const FlowTable& flows, Clock::time_point now);

 private:
  static constexpr int kRestFactor = 50;

  void Begin(const FlowTable& flows);
  void CountPartition(const FlowTable& flows, std::size_t partition);
  void LeaveOut(std::size_t limit, std::uint16_t zone, const IpAddress& group);
  void Publish();

  const SourceGrouping grouping_;
  const KeyedHash hash_;
  const std::size_t sources_max_;
  std::atomic<bool> asked_{false};  // relaxed: a hint to look at asked_for_
  std::atomic<std::uint64_t> sources_turned_away_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<CoveredConnections>> asked_for_;
  std::shared_ptr<const Census> last_;

  // Only Step uses these.
  std::shared_ptr<Census> census_;                                        // the current one; null: none
  std::vector<std::unordered_map<std::uint16_t, Census::Counts>> zoned_;  // by limit, then by zone except zone 0
  std::size_t sources_ = 0;
  std::unordered_set<std::uint64_t> left_out_;  // by the hash of limit, zone and group
  TurnedAway turned_away_;
  SurveyPace pace_;
};

}  // namespace conntally
