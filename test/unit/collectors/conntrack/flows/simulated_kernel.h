// A FlowTracker against a simulated kernel: entries come, change and go at random, their events wait in a queue and are
// sometimes lost, and dumps walk the table a piece at a time, each made when the one before it is read.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "test/unit/collectors/conntrack/flows/tracked_tally.h"

namespace conntally::test {

struct Entry {
  std::uint32_t id = 0;
  bool replied = false;
  TcpState state = TcpState::kNone;
};

struct Rules {
  unsigned loss_percent = 0;
  std::size_t connections_max = 1000;
  std::uint32_t sources_max = 1000;
  std::uint32_t older_entries = 0;  // there before the tracker
  bool dumps_break_off = true;
};

class SimulatedKernel {
 public:
  static constexpr std::uint32_t kTuples = 48;  // few, so that they are used again and again

  SimulatedKernel(unsigned seed, const Rules& rules)
      : rules_(rules), random_(seed), tracked_({.sources = rules.sources_max, .connections = rules.connections_max}) {
    for (std::uint32_t i = 0; i < kTuples; ++i) {
      const std::string source = i % 4 == 0 ? "2001:db8::" + std::to_string(i % 7) : "192.0.2." + std::to_string(i % 7);
      tuples_.push_back(Key(source, static_cast<std::uint16_t>(i % 5), i % 2 == 0 ? kTcp : kUdp));
      tuples_.back().source_port = static_cast<std::uint16_t>(1000 + i);
    }
    for (std::uint32_t i = 0; i < rules.older_entries; ++i) kernel_[Random(kTuples)] = FreshEntry(Random(kTuples));
    for (auto& [tuple, entry] : kernel_) entry = FreshEntry(tuple);
    older_ = kernel_.size();
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Turn();
      CheckInvariant();
    }
  }

  // One whole dump while nothing happens.
  void QuietDump() {
    ApplyEvents(queue_.size());
    BeginDump(false);
    while (phase_ != Phase::kIdle) {
      DumpTurn(false);
      CheckInvariant();
    }
  }

  void DestroyAllBut(std::size_t left) {
    while (kernel_.size() > left) Destroy(kernel_.begin()->first);
  }

  void CheckMatchesKernel() {
    std::map<IpAddress, SourceFigures> expected;
    std::map<IpAddress, std::set<std::uint16_t>> ports;
    std::map<std::size_t, std::int64_t> states;
    for (const auto& [tuple, entry] : kernel_) {
      const FlowKey& key = tuples_[tuple];
      SourceFigures& figures = expected[key.SourceAddress()];
      ++figures.connections;
      if (!entry.replied) ++figures.unreplied;
      ports[key.SourceAddress()].insert(key.destination_port);
      const auto state = key.protocol == kTcp ? FlowStateIndex::Tcp(static_cast<std::uint8_t>(entry.state))
                                              : FlowStateIndex::Other(key.protocol, entry.replied);
      ++states[state.value()];
    }
    const Tally::View view = tracked_.View();
    for (std::size_t i = 0; i < FlowStateIndex::kCount; ++i) REQUIRE(view.totals().connections[i] == states[i]);
    REQUIRE(view.totals().unattributed_connections == 0);
    std::size_t sources = 0;
    view.ForEachSource([&](SourceRow, const SourceFigures& figures) {
      if (figures.connections > 0) ++sources;
      REQUIRE(figures.connections == expected[figures.source].connections);
      REQUIRE(figures.unreplied == expected[figures.source].unreplied);
      REQUIRE(figures.destination_ports == static_cast<std::int64_t>(ports[figures.source].size()));
    });
    std::erase_if(expected, [](const auto& source) { return source.second.connections == 0; });
    REQUIRE(sources == expected.size());
  }

  void CheckTotalsMatchKernel() {
    const Tally::View view = tracked_.View();
    REQUIRE(view.totals().ConnectionsSum() == static_cast<std::int64_t>(kernel_.size()));
  }

  // What holds when no event was lost, however events and dumps interleaved.
  void CheckNothingWasCorrected() {
    REQUIRE(tracked_.tracker.corrections().missed == 0);
    REQUIRE(tracked_.tracker.corrections().stale == 0);
    const TotalFigures totals = tracked_.Totals();
    REQUIRE(totals.opened[kTcp] + totals.opened[kUdp] == created_);
    const std::uint64_t closed = totals.closed[kTcp] + totals.closed[kUdp];
    // Of those older than the tracker, some ended before it had heard of them.
    REQUIRE(closed <= destroyed_);
    REQUIRE(closed + older_ >= destroyed_);
    if (older_ == 0) REQUIRE(closed == destroyed_);
    CheckOpenedMinusClosedOfSources();
  }

  std::uint64_t lost() const { return lost_; }

 private:
  enum class Phase { kIdle, kDumping, kDraining, kSweeping };

  std::uint32_t Random(std::uint32_t below) { return static_cast<std::uint32_t>(random_()) % below; }
  bool Percent(unsigned percent) { return Random(100) < percent; }

  void Turn() {
    tracked_.now.centiseconds += Percent(10) ? 150 : 1;  // or what was destroyed would be kept to a dump's end
    switch (Random(8)) {
      case 0:
      case 1:
      case 2: return KernelTurn();
      case 3:
      case 4: return ApplyEvents(Random(6));
      default: return DumpTurn(true);
    }
  }

  // An id is often the same for one tuple's next life, as the kernel's are.
  Entry FreshEntry(std::uint32_t tuple) {
    return {tuple * 4 + Random(3) + 1, false, tuples_[tuple].protocol == kTcp ? TcpState::kSynSent : TcpState::kNone};
  }

  void KernelTurn() {
    const std::uint32_t tuple = Random(kTuples);
    const auto entry = kernel_.find(tuple);
    if (entry == kernel_.end()) {
      kernel_[tuple] = FreshEntry(tuple);
      ++created_;
      return Send(EventKind::kNew, tuple);
    }
    if (Percent(40)) return Destroy(tuple);
    entry->second.replied = true;
    if (tuples_[tuple].protocol == kTcp && Percent(70)) entry->second.state = static_cast<TcpState>(1 + Random(9));
    Send(EventKind::kUpdate, tuple);
  }

  void Destroy(std::uint32_t tuple) {
    Send(EventKind::kDestroy, tuple);
    kernel_.erase(tuple);
    ++destroyed_;
  }

  FlowEvent Tell(EventKind kind, std::uint32_t tuple) const {
    const Entry& entry = kernel_.at(tuple);
    FlowEvent event = Event(kind, tuples_[tuple], entry.id, entry.replied ? kReplied : kUnreplied);
    if (tuples_[tuple].protocol == kTcp && kind != EventKind::kDestroy) {
      event.tcp_state = entry.state;
      event.has_tcp_state = true;
    }
    return event;
  }

  void Send(EventKind kind, std::uint32_t tuple) {
    if (Percent(rules_.loss_percent)) {
      ++lost_;
      return;
    }
    queue_.push_back(Tell(kind, tuple));
  }

  void ApplyEvents(std::size_t count) {
    TallyWriter::Batch batch(tracked_.writer);
    for (; count > 0 && !queue_.empty(); --count) {
      tracked_.tracker.Apply(batch, tracked_.Prepared(queue_.front()), tracked_.now);
      queue_.pop_front();
    }
  }

  void BeginDump(bool repeats = true) {
    tracked_.tracker.BeginDump(!first_done_ ? DumpReason::kStart : DumpReason::kInterval);
    phase_ = Phase::kDumping;
    // The table's order; while it changes an entry may come twice.
    walk_.clear();
    for (std::uint32_t tuple = 0; tuple < kTuples; ++tuple) {
      walk_.push_back(tuple);
      if (repeats && Percent(10)) walk_.push_back(tuple);
    }
    std::shuffle(walk_.begin(), walk_.end(), random_);
    piece_ = WalkOn();
  }

  void DumpTurn(bool may_break_off) {
    if (may_break_off && phase_ != Phase::kIdle && rules_.dumps_break_off && Percent(2)) {
      if (Percent(50)) return BeginDump();
      tracked_.tracker.CancelDump();
      phase_ = Phase::kIdle;
      return;
    }
    switch (phase_) {
      case Phase::kIdle:
        if (!may_break_off || Percent(10) || !first_done_) BeginDump();
        return;
      case Phase::kDumping: return ReadPiece();
      case Phase::kDraining: {
        ApplyEvents(queue_.size());
        TallyWriter::Batch batch(tracked_.writer);
        tracked_.tracker.EndDump(batch);
        phase_ = Phase::kSweeping;
        return;
      }
      case Phase::kSweeping: {
        TallyWriter::Batch batch(tracked_.writer);
        for (std::uint32_t steps = 1 + Random(20); steps > 0; --steps) {
          if (!tracked_.tracker.SweepStep(batch, tracked_.now)) continue;
          phase_ = Phase::kIdle;
          first_done_ = true;
          return;
        }
        return;
      }
    }
  }

  // The kernel looks at some more of its table.
  std::vector<FlowEvent> WalkOn() {
    std::vector<FlowEvent> piece;
    for (std::uint32_t places = 1 + Random(8); places > 0 && !walk_.empty(); --places) {
      if (kernel_.contains(walk_.back())) piece.push_back(Tell(EventKind::kUpdate, walk_.back()));
      walk_.pop_back();
    }
    return piece;
  }

  // The tracker takes what the kernel saw when the piece before was read.
  void ReadPiece() {
    const bool last = walk_.empty();
    const std::vector<FlowEvent> piece = std::exchange(piece_, WalkOn());
    TallyWriter::Batch batch(tracked_.writer);
    tracked_.tracker.BeginPiece(tracked_.now);
    for (const FlowEvent& entry : piece) tracked_.tracker.ApplyDumped(batch, tracked_.Prepared(entry), tracked_.now);
    if (last) phase_ = Phase::kDraining;
  }

  // In every view. One assertion for all: there are millions of views.
  void CheckInvariant() {
    const Tally::View view = tracked_.View();
    const TotalFigures& totals = view.totals();
    bool holds = true;
    std::int64_t sum = totals.unattributed_connections;
    view.ForEachSource([&](SourceRow, const SourceFigures& figures) {
      holds = holds && figures.unreplied >= 0 && figures.unreplied <= figures.connections;
      holds = holds && figures.destination_ports >= 0 && figures.destination_ports <= figures.connections;
      sum += figures.connections;
    });
    for (const std::int64_t count : totals.connections) holds = holds && count >= 0;
    holds = holds && sum == totals.ConnectionsSum();
    holds = holds && totals.opened[kTcp] >= opened_before_[kTcp] && totals.opened[kUdp] >= opened_before_[kUdp];
    opened_before_ = totals.opened;
    if (!holds) FAIL("the view is not coherent");
  }

  void CheckOpenedMinusClosedOfSources() {
    std::uint64_t opened = 0;
    tracked_.View().ForEachSource([&](SourceRow, const SourceFigures& figures) { opened += figures.opened; });
    REQUIRE(opened == created_);
  }

  const Rules rules_;
  std::mt19937 random_;
  TrackedTally tracked_;
  std::vector<FlowKey> tuples_;

  std::map<std::uint32_t, Entry> kernel_;  // by the tuple's number
  std::deque<FlowEvent> queue_;
  std::uint64_t older_ = 0;
  std::uint64_t created_ = 0;
  std::uint64_t destroyed_ = 0;
  std::uint64_t lost_ = 0;

  Phase phase_ = Phase::kIdle;
  bool first_done_ = false;
  std::vector<std::uint32_t> walk_;  // what the dump has yet to look at
  std::vector<FlowEvent> piece_;     // what it saw, not yet read
  std::array<std::uint64_t, 256> opened_before_{};
};

}  // namespace conntally::test
