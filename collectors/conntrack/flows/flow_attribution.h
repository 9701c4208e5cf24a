// FlowAttribution: brings connections and rows of their sources together where there were not rows for all. A tally
// with a row for each source has no use for it, and pays one comparison a connection.
//
// While some flow has no row, or some row is to leave (SourceTable decides which: source_table.h), it walks over the
// flow table, a partition a step, and
//
//   - takes the flows of leaving rows off them, into the unattributed;
//   - gives each flow without a row its source's, where that has one, or may have a new one. A source with an
//   established
//     TCP connection is entitled to one;
//   - counts by source those that remain (Space-Saving). At the end, sources that hold twice as much as those that
//   would
//     make room for them get rows.
//
// A row that is made meanwhile gathers: flows of its source may stand behind the walk. It is revealed once a walk that
// began after it was made has ended, and so with all its source's connections. The next walk then begins at once, so
// that a source is named two walks after it has deserved it, however many others there are.
//
// This holds of one writer: of several, each gathers what is in its own table.
//
// Threads: the flow table's owner.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "collectors/conntrack/flows/flow_table.h"
#include "collectors/conntrack/flows/tracker_time.h"
#include "collectors/tally/port_counts.h"
#include "collectors/tally/space_saving.h"
#include "collectors/tally/tally.h"

namespace conntally {

inline IpAddress GroupOf(const FlowKey& key, const SourceGrouping& grouping) {
  const unsigned length = grouping.Of(key.family);
  const IpAddress source = key.SourceAddress();
  return length == AddressBits(key.family) ? source : Masked(source, length);
}

class FlowAttribution {
 public:
  FlowAttribution(SourceGrouping grouping, KeyedHash hash, const TallyWriter& tally)
      : grouping_(grouping), hash_(hash), tally_(tally) {}

  SourceRow Acquire(TallyWriter::Batch& batch, const IpAddress& source, std::uint64_t hash) {
    return unattributed_ == 0 ? batch.Acquire(source, hash)
                              : batch.Acquire(source, hash, Claim::kNewcomer, &gathering_);
  }
  // A flow has no row, or ends without one.
  void CountUnattributed(TallyWriter::Batch& batch, const Flow& flow, int change) {
    batch.AddUnattributed(change, flow.replied ? 0 : change);
    unattributed_ += static_cast<std::size_t>(change);
  }
  std::size_t unattributed() const { return unattributed_; }

  bool wanted() const {
    return walking_ || unattributed_ > 0 || !gathering_.empty() || !gathered_.empty() || tally_.rows_leaving() > 0;
  }
  // One partition, where one is due. True while there is more to do at once.
  bool Step(TallyWriter::Batch& batch, FlowTable& flows, PortCounts& ports, TrackerTime now);

 private:
  struct Nothing {};
  using Heavy = SpaceSaving<Nothing>;
  // Finds every source that holds more than 1/4096 of what is unattributed.
  static constexpr std::uint32_t kHeavyMax = 4096;
  static constexpr std::size_t kEntitledMax = 256;  // a walk
  static constexpr std::int32_t kPauseMinCentiseconds = 50;
  static constexpr std::int32_t kPauseMaxCentiseconds = 150;
  static constexpr std::size_t kFlowsPerCentisecond = 2000;  // a walk over more of them waits longer

  void Begin();
  void Detach(TallyWriter::Batch& batch, Flow& flow, std::uint16_t destination_port, PortCounts& ports);
  void Attach(TallyWriter::Batch& batch, const FlowKey& key, Flow& flow, PortCounts& ports);
  void EntitleTheHeavy(TallyWriter::Batch& batch);
  void End(TallyWriter::Batch& batch, TrackerTime now);

  const SourceGrouping grouping_;
  const KeyedHash hash_;
  const TallyWriter& tally_;
  std::size_t unattributed_ = 0;  // flows without a row
  bool walking_ = false;
  std::size_t next_partition_ = 0;
  std::optional<TrackerTime> not_before_;
  std::vector<SourceRow> gathering_;  // made since this walk began, or since the last one did
  std::vector<SourceRow> gathered_;   // made before: to be revealed at its end
  std::optional<Heavy> heavy_;
};

}  // namespace conntally
