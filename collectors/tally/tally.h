// Tally: exact figures per source and in total, written by lock-free writers and read as one consistent view. In every
// view, under any load:
//
//   sum over sources of connections + unattributed_connections = sum over protocols and states of connections
//
// Threads: a TallyWriter belongs to one thread. Views may be taken on any thread; readers take turns by a mutex, which
// writers never take.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/tally/epoch.h"
#include "collectors/tally/flow_totals.h"
#include "collectors/tally/source_table.h"

namespace conntally {

// One source's figures in a view.
struct SourceFigures {
  IpAddress source;
  std::int64_t connections = 0;
  std::int64_t unreplied = 0;
  std::int64_t destination_ports = 0;  // distinct among its current connections, exact
  std::uint64_t opened = 0;            // since the daemon started; without connections found at its start
  std::uint64_t closed = 0;            // since the daemon started; with connections found at its start
  double new_rate = 0;                 // opened per second, smoothed over about kRateWindow
  std::uint64_t failed = 0;            // connections that ended without an answer; for TCP also refused ones
  Proof proof = Proof::kUnanswered;    // the strongest proof within kProofKept
  std::uint8_t regular_minutes = 0;    // minutes of the last kRegularWindow in which it was proven or answered
  // Whole seconds.
  std::chrono::steady_clock::time_point first_seen{};
  std::chrono::steady_clock::time_point last_seen{};  // of any opening or closing

  bool regular() const { return regular_minutes >= kRegularMinutesMin; }
  static constexpr std::uint8_t kRegularMinutesMin = 3;
};

class TallyWriter;

class Tally {
 public:
  using Time = std::chrono::steady_clock::time_point;  // so that setting the clock does not age a source

  static constexpr std::chrono::seconds kRateWindow{10};
  static constexpr std::chrono::minutes kRegularWindow{15};
  static constexpr std::chrono::minutes kProofKept{60};
  static constexpr std::chrono::seconds kCrowdRetention{5};

  Tally(std::uint32_t sources_max, KeyedHash hash);
  ~Tally();

  // Call it at start-up, at most EpochDomain::kWritersMax times. The writer lives as long as the tally.
  TallyWriter& AddWriter();

  class Source;

  // Figures over the sources of one block of rows, so that a pass that looks for the highest can leave out most blocks.
  struct Block {
    std::int32_t connections_max = 0;
    std::int32_t unreplied_max = 0;
    std::int32_t proven_connections_max = 0;  // of a proven source
    float new_rate_max = 0;
    std::int64_t connections = 0;
    std::int64_t unreplied = 0;
    std::int64_t proven_connections = 0;
    double new_rate = 0;
  };

  // All tallies at one moment. While it lives, no other view can be taken; writers continue.
  class View {
   public:
    const TotalFigures& totals() const;
    // nullopt if the row has no source in this view.
    std::optional<SourceFigures> Source(SourceRow row) const;
    // The source's row; kNoSourceRow if it has none in this view.
    SourceRow Find(const IpAddress& source) const;
    template <typename Visitor>  // void(const Tally::Source&)
    void ForEach(Visitor&& visit) const;
    // Leaves out the blocks that are not wanted; the row is the block's first.
    template <typename Visitor, typename Wanted>  // bool(const Tally::Block&, SourceRow)
    void ForEach(Visitor&& visit, Wanted&& wanted) const;
    template <typename Visitor>  // void(const Tally::Block&)
    void ForEachBlock(Visitor&& visit) const;
    template <typename Visitor>  // void(SourceRow, const SourceFigures&)
    void ForEachSource(Visitor&& visit) const;

   private:
    friend class Tally;
    View(Tally& tally, std::unique_lock<std::mutex> lock) : tally_(&tally), lock_(std::move(lock)) {}
    Tally* tally_;
    std::unique_lock<std::mutex> lock_;
  };

  View Take(Time now);

  // Call it once a second, `elapsed` after the last call. Updates the rates and proofs, forgets sources without
  // connections for `idle_retention`, and makes room for entitled sources. If idle, unproven sources are many, they are
  // forgotten after kCrowdRetention, or at once while connections are unattributed.
  //
  // A connection that lasts for hours sends no events: so a proven or answered source stays so while it holds
  // connections with replies. Blocks of rows in which nothing can change but that are looked at once a minute.
  void Advance(View& view, Time now, std::chrono::duration<double> elapsed, std::chrono::seconds idle_retention);

 private:
  friend class TallyWriter;

  // A gathering or leaving row is hidden: its connections are unattributed in the totals. Reveal belongs to no lane, so
  // its effect may be seen one fold too early: the row is shown from the next fold on.
  enum class Standing : std::uint8_t { kNone, kGathering, kGathered, kShown, kLeaving };

  // The reader's part of a row, from which SourceFigures are made, in one cache line. The address is in the row.
  struct Ledger {
    std::uint64_t opened = 0;
    std::uint64_t closed = 0;
    std::uint64_t failed = 0;
    std::int32_t connections = 0;
    std::int32_t unreplied = 0;
    std::int32_t destination_ports = 0;
    std::uint32_t opened_at_last_advance = 0;  // the low bits of opened
    float new_rate = 0;
    // Seconds of the steady clock, until its 136th year.
    std::uint32_t first_seen = 0;
    std::uint32_t last_seen = 0;
    // Uptime in seconds when it was last proven or answered; 0: never.
    std::uint32_t proven_at = 0;
    std::uint32_t answered_at = 0;
    std::uint16_t minutes = 0;  // in which it was proven or answered; bit 0 is the present minute
    Standing standing = Standing::kNone;
    Proof proof : 4 = Proof::kUnanswered;
    Proof shown : 4 = Proof::kUnanswered;  // since the last Advance

    std::uint8_t regular_minutes() const { return static_cast<std::uint8_t>(std::popcount(minutes)); }
  };
  static_assert(sizeof(Ledger) == 64);

  struct BlockState {
    Block figures;
    unsigned minute = 0;  // of uptime_, when it was advanced last
    bool lively = true;   // to be advanced in any case
  };

  void Fold(std::size_t frozen_lane, Time now);
  void FoldRow(SourceRow row, std::size_t frozen_lane, Time now);
  BlockState& BlockOf(SourceRow row) { return blocks_[row / SourceTable::kRowsPerBlock]; }
  // After any change of the block's rows.
  void Summarize(SourceRow first);
  // Before a change of a row, with -1, and after it, with 1: counts it by place, and among the idle strangers.
  void Enlist(const Ledger& ledger, int change);
  static bool IsStranger(const Ledger& ledger);
  void RevealGathered();
  // The number of sources by the order in which they make room: unproven ones first, and of each class the lighter
  // first.
  static constexpr std::size_t kWeights = 1024;
  using Places = std::array<std::uint32_t, 2 * kWeights>;
  static std::size_t PlaceOf(const Ledger& ledger);
  void Displace(std::uint32_t wanted);
  bool Forgets(SourceRow row, Time now, std::chrono::seconds retention);
  struct Step {  // of Advance
    Time now;
    float seconds;
    float weight;  // of the last `seconds` in a rate
    std::chrono::seconds retention;
    std::chrono::seconds brief;  // of strangers, in a crowd
  };
  // Whether anything but its minutes may change in the next second.
  bool AdvanceRow(SourceRow row, const Step& step, unsigned minutes_passed);
  void NoteShown(Ledger& ledger, Proof shown) const;
  void AdvanceProof(Ledger& ledger, unsigned minutes_passed) const;

  EpochDomain epochs_;
  SourceTable sources_;
  std::mutex readers_;
  std::vector<std::unique_ptr<TallyWriter>> writers_;
  TotalFigures totals_;
  std::vector<Ledger> ledger_;
  std::vector<BlockState> blocks_;
  Places places_{};                   // of the shown sources
  std::uint32_t idle_strangers_ = 0;  // shown, without connections, neither proven nor regular
  std::vector<SourceRow> gathering_;  // rows that gather or have gathered, and are not shown yet
  bool crowded_ = false;              // many idle, unproven sources
  const std::uint32_t crowd_max_;
  std::chrono::duration<double> uptime_{1};  // the sum of Advance's `elapsed`, so that clock steps do not count
};

// One source in a view, for passes over all of them: what is cheap to look at first.
class Tally::Source {
 public:
  SourceRow row() const { return row_; }
  std::int64_t connections() const { return ledger_.connections; }
  std::int64_t unreplied() const { return ledger_.unreplied; }
  double new_rate() const { return ledger_.new_rate; }
  Proof proof() const { return ledger_.proof; }
  std::uint8_t regular_minutes() const { return ledger_.regular_minutes(); }
  // These read the row, too.
  IpAddress address() const { return *tally_.sources_.LiveSource(row_); }
  SourceFigures figures() const;

 private:
  friend class View;
  Source(const Tally& tally, SourceRow row, const Ledger& ledger) : tally_(tally), row_(row), ledger_(ledger) {}
  const Tally& tally_;
  SourceRow row_;
  const Ledger& ledger_;
};

template <typename Visitor>
void Tally::View::ForEach(Visitor&& visit) const {
  ForEach(visit, [](const Block&, SourceRow) { return true; });
}

template <typename Visitor, typename Wanted>
void Tally::View::ForEach(Visitor&& visit, Wanted&& wanted) const {
  const auto rows = static_cast<SourceRow>(tally_->ledger_.size());
  for (SourceRow first = 0; first < rows; first += SourceTable::kRowsPerBlock) {
    if (!wanted(tally_->BlockOf(first).figures, first)) continue;
    for (SourceRow row = first; row < std::min(first + SourceTable::kRowsPerBlock, rows); ++row) {
      const Ledger& ledger = tally_->ledger_[row];
      if (ledger.standing == Standing::kShown) visit(Tally::Source(*tally_, row, ledger));
    }
  }
}

template <typename Visitor>
void Tally::View::ForEachBlock(Visitor&& visit) const {
  for (const BlockState& block : tally_->blocks_) visit(block.figures);
}

template <typename Visitor>
void Tally::View::ForEachSource(Visitor&& visit) const {
  ForEach([&](const Tally::Source& source) { visit(source.row(), source.figures()); });
}

// Counts on behalf of one thread.
class TallyWriter {
 public:
  TallyWriter(EpochDomain::Writer epoch_writer, SourceTable& sources)
      : epoch_writer_(epoch_writer), sources_(sources) {}

  // Changes made through one batch appear in a view together or not at all. Keep it to milliseconds: views wait for it.
  class Batch {
   public:
    explicit Batch(TallyWriter& writer) : pin_(writer.epoch_writer_), writer_(writer) {}

    SourceRow Acquire(const IpAddress& source, std::uint64_t hash, Claim claim = Claim::kNewcomer,
                      std::vector<SourceRow>* gathering = nullptr) {
      const SourceRow row = writer_.sources_.Acquire(source, hash, claim, gathering);
      if (row != kNoSourceRow) writer_.sources_.Touch(row, pin_.lane());
      return row;
    }
    void Reveal(SourceRow row) { writer_.sources_.Reveal(row); }
    void Release(SourceRow row) { writer_.sources_.Release(row); }
    void AddSource(SourceRow row, const SourceDelta& delta) { writer_.sources_.Add(row, pin_.lane(), delta); }
    // Notes a new proof of the source.
    void NoteProof(SourceRow row, Proof proof) { writer_.sources_.NoteProof(row, pin_.lane(), proof); }
    void AddConnections(FlowStateIndex state, int change) { totals().AddConnections(pin_.lane(), state, change); }
    void AddOpened(std::uint8_t protocol) { totals().AddOpened(pin_.lane(), protocol); }
    void AddClosed(std::uint8_t protocol) { totals().AddClosed(pin_.lane(), protocol); }
    // `unreplied` is the change of the unreplied ones among them.
    void AddUnattributed(int change, int unreplied) { totals().AddUnattributed(pin_.lane(), change, unreplied); }
    void AddGroup(GroupIndex group, const GroupDelta& delta) { totals().AddGroup(pin_.lane(), group, delta); }
    void AddDuration(double seconds) { totals().AddDuration(pin_.lane(), seconds); }

   private:
    FlowTotals& totals() { return writer_.totals_; }
    EpochDomain::Pin pin_;
    TallyWriter& writer_;
  };

  std::uint64_t Hash(const IpAddress& source) const { return sources_.Hash(source); }
  void Prefetch(std::uint64_t hash) const { sources_.Prefetch(hash); }
  SourceRow LikelyRow(std::uint64_t hash) const { return sources_.LikelyRow(hash); }
  void PrefetchRow(SourceRow row) const { sources_.PrefetchRow(row); }
  bool IsLeaving(SourceRow row) const { return sources_.IsLeaving(row); }
  std::uint32_t rows_leaving() const { return sources_.leaving(); }
  std::int64_t light_connections() const { return sources_.light_connections(); }

 private:
  friend class Tally;
  EpochDomain::Writer epoch_writer_;
  SourceTable& sources_;
  FlowTotals totals_;
};

}  // namespace conntally
