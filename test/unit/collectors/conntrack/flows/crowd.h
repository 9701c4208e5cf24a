// A tracked tally with more sources than rows, and the seconds that pass over it.
#pragma once

#include "test/unit/collectors/conntrack/flows/tracked_tally.h"

namespace conntally::test {

inline constexpr std::uint32_t kAssured = kReplied | IPS_ASSURED;

inline FlowKey Connection(std::uint32_t source, std::uint16_t number, std::uint8_t protocol = kUdp) {
  FlowKey key;
  for (unsigned i = 0; i < 4; ++i) key.source[i] = static_cast<std::uint8_t>(source >> (24 - 8 * i));
  key.source_port = number;
  key.destination_port = static_cast<std::uint16_t>(number % 400);
  key.protocol = protocol;
  return key;
}

struct Crowd : TrackedTally {
  explicit Crowd(std::uint32_t rows) : TrackedTally(Limits{.sources = rows, .connections = 100'000}) {
    StartOnEmptyKernel();
  }
  void Open(std::uint32_t source, std::uint16_t number = 1) { New(Connection(source, number), 1); }
  void Establish(std::uint32_t source, std::uint16_t number = 1) {
    const FlowKey key = Connection(source, number, kTcp);
    Apply(Event(EventKind::kNew, key, 1, kUnreplied, TcpState::kSynSent));
    Update(key, 1, kReplied, TcpState::kSynRecv);
    Update(key, 1, kAssured, TcpState::kEstablished);
  }
  // Until every walk that is due has ended.
  void Attribute() {
    now.centiseconds += 200;
    TallyWriter::Batch batch(writer);
    while (tracker.AttributeStep(batch, now)) continue;
  }
  void Second() {
    Attribute();
    time += std::chrono::seconds(1);
    Tally::View view = tally.Take(time);
    tally.Advance(view, time, std::chrono::seconds(1), std::chrono::minutes(10));
  }
  void Seconds(int count) {
    for (int i = 0; i < count; ++i) Second();
    View();
  }
  SourceFigures Of(std::uint32_t source) {
    SourceFigures found;
    const FlowKey key = Connection(source, 0);
    View().ForEachSource([&](SourceRow, const SourceFigures& figures) {
      if (figures.source == key.SourceAddress()) found = figures;
    });
    return found;
  }
  Tally::Time time{std::chrono::seconds(1'700'000'000)};
};

}  // namespace conntally::test
