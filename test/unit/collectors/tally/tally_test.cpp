#include "collectors/tally/tally.h"

#include <atomic>
#include <random>
#include <thread>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

constexpr Tally::Time kNow{1'700'000'000s};
constexpr FlowStateIndex kUdpUnreplied = FlowStateIndex::Other(17, false);

KeyedHash FixedHash() { return KeyedHash(KeyedHash::Secret{9}); }

IpAddress Ipv4(std::uint32_t n) {
  IpAddress address;
  for (unsigned i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(n >> (24 - 8 * i));
  return address;
}

SourceRow Open(TallyWriter& writer, TallyWriter::Batch& batch, const IpAddress& source,
               Claim claim = Claim::kNewcomer) {
  const SourceRow row = batch.Acquire(source, writer.Hash(source), claim);
  batch.AddConnections(kUdpUnreplied, 1);
  batch.AddOpened(17);
  if (row == kNoSourceRow) {
    batch.AddUnattributed(1, 0);
  } else {
    batch.AddSource(row, {.connections = 1, .unreplied = 1, .opened = 1});
  }
  return row;
}

void Close(TallyWriter::Batch& batch, SourceRow row) {
  batch.AddConnections(kUdpUnreplied, -1);
  batch.AddClosed(17);
  if (row == kNoSourceRow) {
    batch.AddUnattributed(-1, 0);
  } else {
    batch.AddSource(row, {.connections = -1, .unreplied = -1, .closed = 1});
    batch.Release(row);
  }
}

std::int64_t SumOverSources(const Tally::View& view) {
  std::int64_t sum = view.totals().unattributed_connections;
  view.ForEachSource([&](SourceRow, const SourceFigures& figures) { sum += figures.connections; });
  return sum;
}

}  // namespace

TEST_CASE("a view shows what finished batches counted, and a batch under way not at all") {
  Tally tally(10, FixedHash());
  TallyWriter& writer = tally.AddWriter();
  SourceRow row{};
  {
    TallyWriter::Batch batch(writer);
    row = Open(writer, batch, Ipv4(1));
    Open(writer, batch, Ipv4(1));
  }
  const Tally::View view = tally.Take(kNow);
  CHECK(view.Source(row)->connections == 2);
  CHECK(view.Source(row)->source == Ipv4(1));
  CHECK(view.totals().ConnectionsSum() == 2);
  TallyWriter::Batch under_way(writer);
  Open(writer, under_way, Ipv4(1));
  CHECK(view.Source(row)->connections == 2);
}

TEST_CASE("figures add up over many views") {
  Tally tally(10, FixedHash());
  TallyWriter& writer = tally.AddWriter();
  SourceRow row{};
  for (int i = 0; i < 7; ++i) {
    {
      TallyWriter::Batch batch(writer);
      row = Open(writer, batch, Ipv4(1));
      if (i % 2 == 1) Close(batch, row);
    }
    tally.Take(kNow);
  }
  const Tally::View view = tally.Take(kNow);
  CHECK(view.Source(row)->connections == 4);
  CHECK(view.Source(row)->opened == 7);
  CHECK(view.Source(row)->closed == 3);
  CHECK(view.totals().opened[17] == 7);
}

TEST_CASE("an idle source is forgotten after its retention, and not before") {
  Tally tally(10, FixedHash());
  TallyWriter& writer = tally.AddWriter();
  SourceRow row{};
  {
    TallyWriter::Batch batch(writer);
    row = Open(writer, batch, Ipv4(1));
    Close(batch, row);
  }
  const auto known_after_advance_at = [&](Tally::Time now) {
    Tally::View view = tally.Take(now);
    tally.Advance(view, now, 1s, 600s);
    return view.Source(row).has_value();
  };
  CHECK(known_after_advance_at(kNow));
  CHECK(tally.Take(kNow + 5s).Source(row)->last_seen == kNow);
  CHECK(known_after_advance_at(kNow + 599s));
  CHECK_FALSE(known_after_advance_at(kNow + 600s));
}

TEST_CASE("the rate of openings approaches what is opened and falls back to zero") {
  Tally tally(10, FixedHash());
  TallyWriter& writer = tally.AddWriter();
  SourceRow row{};
  const auto second = [&](int openings) {
    {
      TallyWriter::Batch batch(writer);
      for (int i = 0; i < openings; ++i) row = Open(writer, batch, Ipv4(1));
    }
    Tally::View view = tally.Take(kNow);
    tally.Advance(view, kNow, 1s, 600s);
    return view.Source(row)->new_rate;
  };
  double rate = 0;
  for (int i = 0; i < 60; ++i) rate = second(50);
  CHECK(rate == Approx(50.0).epsilon(0.01));
  for (int i = 0; i < 200; ++i) rate = second(0);
  CHECK(rate == 0);
}

// Run under TSan: several writers open and close connections of few sources, so that rows are retired and reused all
// the time, while several readers check the invariant in every view.
TEST_CASE("every view is coherent while writers, readers and reclamation run against each other") {
  constexpr std::uint32_t kRows = 48;
  constexpr std::uint32_t kSources = 64;  // more than there are rows: some go unattributed
  constexpr int kBatches = 20000;
  Tally tally(kRows, FixedHash());
  std::atomic<bool> done = false;
  std::atomic<int> incoherent_views = 0;
  std::atomic<std::uint64_t> opened = 0;

  const auto write = [&](TallyWriter& writer, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<SourceRow> held;
    for (int i = 0; i < kBatches; ++i) {
      TallyWriter::Batch batch(writer);
      const std::uint32_t phase = static_cast<std::uint32_t>(i) / 64;  // sources come and go in waves
      for (unsigned n = random() % 8; n > 0; --n) {
        held.push_back(Open(writer, batch, Ipv4((phase * 16 + random() % 16) % kSources)));
        opened.fetch_add(1, std::memory_order_relaxed);
      }
      const bool drain = i % 64 == 63;
      for (std::size_t n = drain ? held.size() : random() % (held.size() + 1); n > 0; --n) {
        Close(batch, held.back());
        held.pop_back();
      }
    }
    TallyWriter::Batch batch(writer);
    for (const SourceRow row : held) Close(batch, row);
  };
  const auto read = [&](bool advances) {
    while (!done.load()) {
      Tally::View view = tally.Take(kNow);
      if (SumOverSources(view) != view.totals().ConnectionsSum()) incoherent_views.fetch_add(1);
      if (advances) tally.Advance(view, kNow, 1s, 0s);
    }
  };

  std::vector<std::thread> writers;
  for (unsigned i = 0; i < 3; ++i) {
    TallyWriter& writer = tally.AddWriter();
    writers.emplace_back([&write, &writer, i] { write(writer, i); });
  }
  std::thread reclaiming_reader(read, true);
  std::thread reader(read, false);
  for (std::thread& writer : writers) writer.join();
  done = true;
  reclaiming_reader.join();
  reader.join();

  CHECK(incoherent_views == 0);
  Tally::View view = tally.Take(kNow);
  CHECK(SumOverSources(view) == 0);
  CHECK(view.totals().ConnectionsSum() == 0);
  CHECK(view.totals().unattributed_connections == 0);
  CHECK(view.totals().opened[17] == opened);
  CHECK(view.totals().closed[17] == opened);
  tally.Advance(view, kNow, 1s, 0s);
  int left = 0;
  view.ForEachSource([&](SourceRow, const SourceFigures&) { ++left; });
  CHECK(left == 0);
}

TEST_CASE("a block's figures are those of its sources, whatever opens, closes, is proven, displaced or forgotten") {
  Tally tally(1000, FixedHash());
  TallyWriter& writer = tally.AddWriter();
  std::uint32_t leaving = 0;
  std::mt19937 random(4);
  std::vector<SourceRow> open;
  Tally::Time now = kNow;
  for (int second = 0; second < 400; ++second) {
    // At first as many sources as there are rows, later hardly any.
    const int changes = second < 100 ? 100 : second % 20;
    for (int i = 0; i < changes; ++i) {
      TallyWriter::Batch batch(writer);
      if (open.empty() || random() % 8 < (second < 80 ? 6U : 2U)) {
        const Claim claim = random() % 2 == 0 ? Claim::kEntitled : Claim::kNewcomer;
        open.push_back(Open(writer, batch, Ipv4(static_cast<std::uint32_t>(random() % 5000)), claim));
        if (open.back() != kNoSourceRow && random() % 4 == 0) batch.NoteProof(open.back(), Proof::kProven);
      } else {
        std::swap(open[random() % open.size()], open.back());
        Close(batch, open.back());
        open.pop_back();
      }
    }
    Tally::View view = tally.Take(now);
    tally.Advance(view, now, 1s, 30s);
    now += 1s;

    std::vector<Tally::Block> expected;
    view.ForEachBlock([&](const Tally::Block&) { expected.emplace_back(); });
    view.ForEachSource([&](SourceRow row, const SourceFigures& figures) {
      Tally::Block& block = expected[row / SourceTable::kRowsPerBlock];
      const auto connections = static_cast<std::int32_t>(figures.connections);
      const std::int32_t proven = figures.proof == Proof::kProven ? connections : 0;
      block.connections_max = std::max(block.connections_max, connections);
      block.unreplied_max = std::max(block.unreplied_max, static_cast<std::int32_t>(figures.unreplied));
      block.proven_connections_max = std::max(block.proven_connections_max, proven);
      block.new_rate_max = std::max(block.new_rate_max, static_cast<float>(figures.new_rate));
      block.connections += connections;
      block.unreplied += figures.unreplied;
      block.proven_connections += proven;
      CHECK(view.Find(figures.source) == row);
    });
    std::size_t at = 0;
    view.ForEachBlock([&](const Tally::Block& block) {
      const Tally::Block& of = expected[at++];
      REQUIRE(block.connections_max == of.connections_max);
      REQUIRE(block.unreplied_max == of.unreplied_max);
      REQUIRE(block.proven_connections_max == of.proven_connections_max);
      REQUIRE(block.new_rate_max == of.new_rate_max);
      REQUIRE(block.connections == of.connections);
      REQUIRE(block.unreplied == of.unreplied);
      REQUIRE(block.proven_connections == of.proven_connections);
    });
    CHECK(view.Find(Ipv4(9999)) == kNoSourceRow);
    leaving = std::max(leaving, writer.rows_leaving());
  }
  CHECK(leaving > 0);
}

TEST_CASE("a pass leaves out the blocks that are not wanted") {
  Tally tally(1000, FixedHash());
  TallyWriter& writer = tally.AddWriter();
  {
    TallyWriter::Batch batch(writer);
    for (std::uint32_t i = 0; i < 300; ++i) Open(writer, batch, Ipv4(i));
    for (int i = 0; i < 5; ++i) Open(writer, batch, Ipv4(200));
  }
  const Tally::View view = tally.Take(kNow);
  std::vector<SourceRow> visited;
  view.ForEach([&](const Tally::Source& source) { visited.push_back(source.row()); },
               [](const Tally::Block& block, SourceRow) { return block.connections_max > 1; });
  CHECK(visited.size() == SourceTable::kRowsPerBlock);
  CHECK(std::ranges::count(visited, view.Find(Ipv4(200))) == 1);
}
