// Whom the connections want: how many there are to each destination, port and protocol, before any translation, and
// the sources that hold most of them.
//
// No event pays for this: a survey goes through the flow table at SurveyPace, some 40 to 80 ns a connection, and takes
// no more than a hundredth of the time, a five-hundredth while events come. Its figures are a second or two old, some
// ten with 200,000 connections that come and go. A
// connection that lives throughout a survey is counted exactly once, so those of a still table are exact.
//
// Bounds: kDestinationsMax destinations are told apart, and kPairsMax pairs of one and a source. What has a place is
// counted exactly; what has none is in `connections` all the same. Where there are more, the heavier half of those that
// have places keep them, and the others go to whoever comes first. A survey meets connections in the order of a secret
// hash and begins elsewhere each time, so a destination comes first the likelier the more connections it has (sample
// and hold; Estan, Varghese 2003): of a million destinations with one connection each, one with 200 is found at once
// with 97 %.
//
// Threads: Step on the flow table's owner's; the rest on any.
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
    std::uint32_t opened_lately = 0;     // of them, within kRateWindow
    std::array<Source, 5> sources = {};  // that hold most of them, the most first; with 0 connections there are no more

    double new_rate() const { return static_cast<double>(opened_lately) / static_cast<double>(kRateWindow.count()); }
  };
  std::vector<OfDestination> destinations;  // in no order
  std::uint64_t connections = 0;            // to all, those without a place among them
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
  // Connections to destinations, and of sources to one, that found no place.
  std::uint64_t destinations_turned_away() const { return destinations_left_out_.load(std::memory_order_relaxed); }
  std::uint64_t sources_turned_away() const { return pairs_left_out_.load(std::memory_order_relaxed); }

  // A slice, where one is due; surveys are fewer while events come. True while a survey is under way.
  bool Step(const FlowTable& flows, TrackerTime tracked, Clock::time_point now, bool idle = true);

 private:
  static constexpr int kRestFactor = 100;
  static constexpr int kBusyRestFactor = 500;        // while events come
  static constexpr std::size_t kPartitionStep = 23;  // from where one survey begins to where the next does

  using OfDestination = DestinationFigures::OfDestination;

  struct Prepared {
    Destination destination;
    IpAddress source;
    std::uint64_t destination_hash = 0;
    std::uint64_t pair_hash = 0;
    bool unreplied = false;
    bool opened_lately = false;
  };
  // So many that fetching their places overlaps.
  static constexpr std::size_t kStride = 32;

  void Begin();
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

  // Step's own.
  std::shared_ptr<DestinationFigures> figures_;  // of the survey under way; null: none
  HashedNumbers places_;                         // of destinations: one more than their index in the figures
  HashedNumbers pairs_;                          // of a destination and a source: connections
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
