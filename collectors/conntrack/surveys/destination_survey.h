// Counts the connections to each destination, port and protocol, before any translation, with the sources that hold
// most of them.
//
// Events do not pay for this: a survey walks the flow table at SurveyPace, some 40 to 80 ns per connection, in at most
// a hundredth of the time, a five-hundredth while events come. Its figures are one or two seconds old, some ten seconds
// with 200,000 connections that come and go. A connection that lives throughout a survey is counted exactly once, so
// figures of an unchanging table are exact.
//
// Bounds: kDestinationsMax destinations, and kPairsMax pairs of a destination and a source. A destination with a place
// is counted exactly; the connections of the others are only in `connections`. If there are more destinations, the
// heavier half keep their places, and the other places go to the first that come. A survey visits connections in the
// order of a secret hash and starts elsewhere each time, so a destination with more connections is more likely to come
// first (sample and hold; Estan, Varghese 2003): among a million destinations with one connection each, one with 200 is
// found at once with 97 %.
//
// Threads: Step on the flow table's owner's; all others on any.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "collectors/addresses/keyed_hash.h"
#include "collectors/conntrack/decode/endpoint.h"
#include "collectors/conntrack/flows/flow_tracker.h"
#include "collectors/conntrack/surveys/hashed_numbers.h"
#include "collectors/conntrack/surveys/survey_pace.h"
#include "collectors/tally/turned_away.h"

namespace conntally {

using Destination = Endpoint;

struct DestinationFigures {
  static constexpr std::chrono::seconds kRateWindow{10};

  struct Source {
    IpAddress address;  // as sources are grouped
    std::uint32_t connections = 0;
  };
  struct OfDestination {
    Destination destination;
    std::uint32_t connections = 0;
    std::uint32_t unreplied = 0;
    std::uint32_t opened_lately = 0;     // of these, opened within kRateWindow
    std::array<Source, 5> sources = {};  // that hold most of them, the most first; 0 connections: end of the list

    double new_rate() const { return static_cast<double>(opened_lately) / static_cast<double>(kRateWindow.count()); }
  };
  std::vector<OfDestination> destinations;  // in no order
  std::uint64_t connections = 0;            // to all destinations, also those without a place
  bool whole = true;                        // every destination had a place
};

class DestinationSurvey {
 public:
  static constexpr std::size_t kDestinationsMax = 32'768;
  static constexpr std::size_t kPairsMax = 196'608;

  using Clock = SurveyPace::Clock;

  DestinationSurvey(SourceGrouping grouping, KeyedHash hash, std::size_t destinations_max = kDestinationsMax,
                    std::size_t pairs_max = kPairsMax);

  // Null before the first survey has ended.
  std::shared_ptr<const DestinationFigures> last() const;
  // Connections to destinations without a place, and connections of pairs without a place.
  std::uint64_t destinations_turned_away() const { return destinations_left_out_.load(std::memory_order_relaxed); }
  std::uint64_t sources_turned_away() const { return pairs_left_out_.load(std::memory_order_relaxed); }

  // Processes a slice, if due; there are fewer surveys while events come. True during a survey.
  bool Step(const FlowTable& flows, TrackerTime tracked, Clock::time_point now, bool idle = true);

 private:
  static constexpr int kRestFactor = 100;
  static constexpr int kBusyRestFactor = 500;        // while events come
  static constexpr std::size_t kPartitionStep = 23;  // from one survey's first partition to the next one's

  using OfDestination = DestinationFigures::OfDestination;

  struct Prepared {
    Destination destination;
    IpAddress source;
    std::uint64_t destination_hash = 0;
    std::uint64_t pair_hash = 0;
    bool unreplied = false;
    bool opened_lately = false;
  };
  // Enough that the prefetches of their places overlap.
  static constexpr std::size_t kStride = 32;

  void Begin(const FlowTable& flows);
  void KeepTheHeaviest();
  void Prepare(const FlowKey& key, const Flow& flow, TrackerTime tracked);
  void CountPrepared();
  void Count(const Prepared& prepared);
  void CountSource(OfDestination& destination, const Prepared& prepared);
  void Publish();
  std::uint64_t HashOf(const Destination& destination) const;
  std::uint64_t PairHash(std::uint64_t destination_hash, const IpAddress& source) const;

  const SourceGrouping grouping_;
  const std::array<std::uint64_t, 4> secrets_;
  std::atomic<std::uint64_t> destinations_left_out_{0};
  std::atomic<std::uint64_t> pairs_left_out_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const DestinationFigures> last_;

  // Only Step uses these.
  std::shared_ptr<DestinationFigures> figures_;  // of the current survey; null: none
  HashedNumbers places_;                         // of destinations: their index in the figures plus 1
  HashedNumbers pairs_;                          // of a destination and a source: their connections
  std::size_t first_partition_ = 0;
  std::array<Prepared, kStride> prepared_;
  std::size_t prepared_count_ = 0;
  std::uint64_t without_place_ = 0;  // connections of this survey
  std::uint64_t without_pair_ = 0;
  TurnedAway turned_away_;
  TurnedAway pairs_turned_away_;
  SurveyPace pace_;
};

}  // namespace conntally
