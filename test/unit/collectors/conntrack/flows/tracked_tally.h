// A FlowTracker and the tally it writes, with what its tests say to it in few words. Each call is a batch of its own.
#pragma once

#include <linux/netfilter/nf_conntrack_common.h>

#include <optional>
#include <string>

#include "collectors/conntrack/flows/flow_tracker.h"
#include "test/support/catch.h"

namespace conntally::test {

inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr std::uint32_t kUnreplied = IPS_CONFIRMED;
inline constexpr std::uint32_t kReplied = IPS_CONFIRMED | IPS_SEEN_REPLY;

inline FlowKey Key(const std::string& source, std::uint16_t destination_port, std::uint8_t protocol = kUdp) {
  FlowKey key;
  const IpAddress address = IpAddress::Parse(source).value();
  key.source = address.bytes;
  key.family = address.family;
  key.source_port = 1000;
  key.destination_port = destination_port;
  key.protocol = protocol;
  return key;
}

inline FlowEvent Event(EventKind kind, const FlowKey& key, std::uint32_t id, std::uint32_t status = kUnreplied,
                       std::optional<TcpState> tcp_state = std::nullopt) {
  FlowEvent event;
  event.key = key;
  event.kind = kind;
  event.id = id;
  event.status = status;
  event.has_status = true;
  if (tcp_state) event.tcp_state = *tcp_state;
  event.has_tcp_state = tcp_state.has_value();
  return event;
}

struct TrackedTally {
  struct Limits {
    std::uint32_t sources = 1000;
    std::size_t connections = 1000;
    SourceGrouping grouping{};
  };

  TrackedTally() : TrackedTally(Limits{}) {}
  explicit TrackedTally(const Limits& limits)
      : tally(limits.sources, KeyedHash(KeyedHash::Secret{1})),
        writer(tally.AddWriter()),
        tracker({limits.grouping, limits.connections, KeyedHash(KeyedHash::Secret{2}), 3}, writer) {}

  FlowTracker::Prepared Prepared(const FlowEvent& event) const {
    FlowTracker::Prepared prepared{event};
    tracker.Prepare(prepared);
    return prepared;
  }
  void Apply(const FlowEvent& event) {
    TallyWriter::Batch batch(writer);
    tracker.Apply(batch, Prepared(event), now);
  }
  void New(const FlowKey& key, std::uint32_t id) { Apply(Event(EventKind::kNew, key, id)); }
  void Update(const FlowKey& key, std::uint32_t id, std::uint32_t status,
              std::optional<TcpState> state = std::nullopt) {
    Apply(Event(EventKind::kUpdate, key, id, status, state));
  }
  void Destroy(const FlowKey& key, std::uint32_t id) { Apply(Event(EventKind::kDestroy, key, id)); }

  void Dumped(const FlowEvent& event) {
    TallyWriter::Batch batch(writer);
    tracker.ApplyDumped(batch, Prepared(event), now);
  }
  void Dumped(const FlowKey& key, std::uint32_t id, std::uint32_t status = kUnreplied,
              std::optional<TcpState> state = std::nullopt) {
    Dumped(Event(EventKind::kUpdate, key, id, status, state));
  }
  void EndDump() {
    TallyWriter::Batch batch(writer);
    tracker.EndDump(batch);
  }
  void SweepAll() {
    TallyWriter::Batch batch(writer);
    while (!tracker.SweepStep(batch, now)) continue;
  }
  void EndDumpAndSweep() {
    EndDump();
    SweepAll();
  }
  // The first dump, of an empty kernel: what comes after it opened under the tracker's eyes.
  void StartOnEmptyKernel() {
    tracker.BeginDump(DumpReason::kStart);
    EndDumpAndSweep();
  }

  Tally::View View() { return tally.Take(Tally::Time{}); }
  // Zeros for a source that has no row.
  SourceFigures Of(const std::string& source) {
    SourceFigures found;
    const IpAddress address = IpAddress::Parse(source).value();
    View().ForEachSource([&](SourceRow, const SourceFigures& figures) {
      if (figures.source == address) found = figures;
    });
    return found;
  }
  TotalFigures Totals() { return View().totals(); }
  std::int64_t Count(FlowStateIndex state) { return Totals().connections[state.value()]; }
  // Whether every connection stands in a source's row or is known to stand in none.
  bool Coherent() {
    const Tally::View view = View();
    std::int64_t sum = view.totals().unattributed_connections;
    view.ForEachSource([&](SourceRow, const SourceFigures& figures) { sum += figures.connections; });
    return sum == view.totals().ConnectionsSum();
  }

  Tally tally;
  TallyWriter& writer;
  FlowTracker tracker;
  TrackerTime now;
};

}  // namespace conntally::test
