// A tally filled by hand: sources with as many connections as the test says.
#pragma once

#include <string>

#include "collectors/tally/tally.h"

namespace conntally::test {

struct FilledTally {
  static constexpr std::uint8_t kUdp = 17;

  // Opens connections of the source: `unreplied` of them without a reply.
  SourceRow Open(const std::string& source, int connections, int unreplied = 0) {
    const IpAddress address = IpAddress::Parse(source).value();
    TallyWriter::Batch batch(writer);
    SourceRow row = kNoSourceRow;
    for (int i = 0; i < connections; ++i) {
      const bool replied = i >= unreplied;
      row = batch.Acquire(address, writer.Hash(address));
      batch.AddSource(row, {.connections = 1, .unreplied = replied ? 0 : 1, .opened = 1});
      batch.AddConnections(FlowStateIndex::Other(kUdp, replied), 1);
      batch.AddOpened(kUdp);
    }
    return row;
  }
  // Ends replied connections of it.
  void Close(SourceRow row, int connections) {
    TallyWriter::Batch batch(writer);
    for (int i = 0; i < connections; ++i) {
      batch.AddSource(row, {.connections = -1, .closed = 1});
      batch.AddConnections(FlowStateIndex::Other(kUdp, true), -1);
      batch.AddClosed(kUdp);
      batch.Release(row);
    }
  }
  Tally::View View() { return tally.Take(Tally::Time{}); }

  Tally tally{1000, KeyedHash(KeyedHash::Secret{5})};
  TallyWriter& writer = tally.AddWriter();
};

}  // namespace conntally::test
