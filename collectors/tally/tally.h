// Tally: exact figures per source and in total, written by any number of lock-free writers and read as one coherent
// view. In every view, under any load:
//
//   sum over sources of connections + unattributed_connections = sum over protocols and states of connections
//
// Threads: a TallyWriter belongs to one thread. Views may be taken on any thread; a mutex among readers makes them take
// turns, and no writer ever takes it.
#pragma once

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
  std::int64_t destination_ports = 0;  // distinct among the connections there are now, exact
  std::uint64_t opened = 0;            // since the daemon started; those it found at its start are not in here
  std::uint64_t closed = 0;            // likewise, but those it found at its start are, once they end
  double new_rate = 0;                 // opened per second, smoothed over about kRateWindow
  std::uint64_t failed = 0;            // connections that ended without an answer; TCP ones also when they were refused
  Proof proof = Proof::kUnanswered;    // the most it has shown within kProofKept
  std::uint8_t regular_minutes = 0;    // of the last kRegularWindow: those in which it was proven, or answered
  // Whole seconds.
  std::chrono::steady_clock::time_point first_seen{};
  std::chrono::steady_clock::time_point last_seen{};  // of any opening or closing

  bool regular() const { return regular_minutes >= kRegularMinutesMin; }
  static constexpr std::uint8_t kRegularMinutesMin = 3;
};

class TallyWriter;

class Tally {
 public:
  using Time = std::chrono::steady_clock::time_point;  // no clock that is set makes a source older

  static constexpr std::chrono::seconds kRateWindow{10};
  static constexpr std::chrono::minutes kRegularWindow{15};
  static constexpr std::chrono::minutes kProofKept{60};
  static constexpr std::chrono::seconds kCrowdRetention{5};

  Tally(std::uint32_t sources_max, KeyedHash hash);
  ~Tally();

  // At start-up, at most EpochDomain::kWritersMax times. The writer lives as long as the tally.
  TallyWriter& AddWriter();

  // One moment of all tallies. While it lives no other view can be taken; writers go on.
  class View {
   public:
    const TotalFigures& totals() const;
    // Rows 0 .. row_count() - 1; those without a live source are skipped by ForEachSource.
    SourceRow row_count() const;
    // nullopt when the row holds no source in this view.
    std::optional<SourceFigures> Source(SourceRow row) const;
    template <typename Visitor>  // void(SourceRow, const SourceFigures&)
    void ForEachSource(Visitor&& visit) const {
      for (SourceRow row = 0; row < row_count(); ++row) {
        if (const auto figures = Source(row)) visit(row, *figures);
      }
    }

   private:
    friend class Tally;
    View(Tally& tally, std::unique_lock<std::mutex> lock) : tally_(&tally), lock_(std::move(lock)) {}
    Tally* tally_;
    std::unique_lock<std::mutex> lock_;
  };

  View Take(Time now);

  // Once a second: brings the rates and what the sources have shown up to date, `elapsed` after the last call, forgets
  // sources that have had no connection for `idle_retention`, and makes room for the entitled. Of idle sources that
  // have proven nothing a crowd is forgotten after kCrowdRetention, or at once while others are unattributed.
  //
  // Who holds a connection for hours makes no event meanwhile: a source that has shown something, and still holds
  // connections that were replied to, goes on showing it.
  void Advance(View& view, Time now, std::chrono::duration<double> elapsed, std::chrono::seconds idle_retention);

 private:
  friend class TallyWriter;

  // A row that gathers or leaves is not shown: its connections are unattributed in the totals. That it gathers no more
  // is seen a fold early, perhaps, since Reveal belongs to no lane: it is shown from the next one on.
  enum class Standing : std::uint8_t { kNone, kGathering, kGathered, kShown, kLeaving };

  // The reader's side of a row: what SourceFigures are made of, in one cache line. The address stands in the row.
  struct Ledger {
    std::uint64_t opened = 0;
    std::uint64_t closed = 0;
    std::uint64_t failed = 0;
    std::int32_t connections = 0;
    std::int32_t unreplied = 0;
    std::int32_t destination_ports = 0;
    std::uint32_t opened_at_last_advance = 0;  // its low bits
    float new_rate = 0;
    // Seconds of the steady clock, until its 136th year.
    std::uint32_t first_seen = 0;
    std::uint32_t last_seen = 0;
    // Seconds of uptime when it was last shown; 0: never.
    std::uint32_t proven_at = 0;
    std::uint32_t answered_at = 0;
    std::uint16_t minutes = 0;  // in which it was proven or answered; bit 0 is the present one
    Standing standing = Standing::kNone;
    Proof proof = Proof::kUnanswered;

    std::uint8_t regular_minutes() const { return static_cast<std::uint8_t>(std::popcount(minutes)); }
  };
  static_assert(sizeof(Ledger) == 64);

  void Fold(std::size_t frozen_lane, Time now);
  void FoldRow(SourceRow row, std::size_t frozen_lane, Time now);
  // How many sources there are by the order in which they make room: unproven ones before the others, and of each the
  // lighter first.
  static constexpr std::size_t kWeights = 1024;
  using Places = std::array<std::uint32_t, 2 * kWeights>;
  static std::size_t PlaceOf(const Ledger& ledger);
  void Displace(std::uint32_t wanted, const Places& places);
  void MakeRoom(Time now, std::chrono::seconds idle_retention);
  void AdvanceProof(Ledger& ledger, Proof shown, unsigned minutes_passed) const;

  EpochDomain epochs_;
  SourceTable sources_;
  std::mutex readers_;
  std::vector<std::unique_ptr<TallyWriter>> writers_;
  TotalFigures totals_;
  std::vector<Ledger> ledger_;
  bool crowded_ = false;  // with idle sources that have proven nothing
  const std::uint32_t crowd_max_;
  std::chrono::duration<double> uptime_{1};  // the sum of what Advance was told, so that no clock's step counts
};

// Counts on behalf of one thread.
class TallyWriter {
 public:
  TallyWriter(EpochDomain::Writer epoch_writer, SourceTable& sources)
      : epoch_writer_(epoch_writer), sources_(sources) {}

  // Changes made through one batch appear in a view together or not at all. Milliseconds at most: views wait for it.
  class Batch {
   public:
    explicit Batch(TallyWriter& writer) : pin_(writer.epoch_writer_), writer_(writer) {}

    SourceRow Acquire(const IpAddress& source, std::uint64_t hash, Claim claim = Claim::kNewcomer,
                      std::vector<SourceRow>* gathering = nullptr) {
      return writer_.sources_.Acquire(source, hash, claim, gathering);
    }
    void Reveal(SourceRow row) { writer_.sources_.Reveal(row); }
    void Release(SourceRow row) { writer_.sources_.Release(row); }
    void AddSource(SourceRow row, const SourceDelta& delta) { writer_.sources_.Add(row, pin_.lane(), delta); }
    // What the source has just shown.
    void NoteProof(SourceRow row, Proof proof) { writer_.sources_.NoteProof(row, proof); }
    void AddConnections(FlowStateIndex state, int change) { totals().AddConnections(pin_.lane(), state, change); }
    void AddOpened(std::uint8_t protocol) { totals().AddOpened(pin_.lane(), protocol); }
    void AddClosed(std::uint8_t protocol) { totals().AddClosed(pin_.lane(), protocol); }
    // `unreplied` is how the number of unreplied ones among them changes.
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
