// FlowAttribution: assigns connections to their sources' rows when there are more sources than rows. If every source
// has a row, it does nothing, at the cost of one comparison per connection.
//
// While some flow has no row, or some row must be freed (source_table.h decides which), it walks over the flow table,
// one partition per step, and
//
//   - moves the flows of rows to be freed to the unattributed ones;
//   - gives each flow without a row its source's row, if the source has one or may get a new one. A source with an
//     established TCP connection is entitled to one;
//   - counts the remaining flows by source (Space-Saving). At the end, sources that hold twice as many as the sources
//     that would make room for them get rows.
//
// A row created during a walk is gathering: the walk may already have passed some of its source's flows. It is
// published when a walk that began after its creation has ended, so it then has all its source's connections. The next
// walk begins at once, so a source gets its row within two walks, however many others there are.
//
// This applies to one writer; each of several gathers only the flows in its own table.
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
  // Call it when a flow gets no row, or ends without one.
  void CountUnattributed(TallyWriter::Batch& batch, const Flow& flow, int change) {
    batch.AddUnattributed(change, flow.replied ? 0 : change);
    unattributed_ += static_cast<std::size_t>(change);
  }
  std::size_t unattributed() const { return unattributed_; }

  bool wanted() const {
    return walking_ || unattributed_ > 0 || !gathering_.empty() || !gathered_.empty() || tally_.rows_leaving() > 0;
  }
  // Processes one partition, if due. True while there is more to do at once.
  bool Step(TallyWriter::Batch& batch, FlowTable& flows, PortCounts& ports, TrackerTime now);

 private:
  struct Nothing {};
  using Heavy = SpaceSaving<Nothing>;
  // Finds every source that holds more than 1/4096 of the unattributed flows.
  static constexpr std::uint32_t kHeavyMax = 4096;
  static constexpr std::size_t kEntitledMax = 256;  // per walk
  static constexpr std::int32_t kPauseMinCentiseconds = 50;
  static constexpr std::int32_t kPauseMaxCentiseconds = 150;
  static constexpr std::size_t kFlowsPerCentisecond = 2000;  // a walk over more flows waits longer

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
  std::vector<SourceRow> gathering_;  // created since this walk, or the last one, began
  std::vector<SourceRow> gathered_;   // created before: published at its end
  std::optional<Heavy> heavy_;
};

}  // namespace conntally
