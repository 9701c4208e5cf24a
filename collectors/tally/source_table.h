// SourceTable: one row per source address, lock-free and sharded by keyed hash. Writers find, add and count; one reader
// at a time folds, visits and reclaims. Only the reader ever waits, for the end of batches (epoch.h).
//
// Rows. A row is one cache line in an arena that grows by chunks up to `rows_max` and never moves. Its life:
//
//   free ── Acquire fills it in, links it at its bucket's head (CAS, release) ──> live
//   live ── Retire: CAS references 0 -> kDead, then unlink ──> dead ── one Flip later ──> free
//
// A new row becomes visible to the reader (kUnlinked is cleared) once it is linked. The first writer that added or
// found it clears the flag, and so within the batch of every writer that counts on it.
//
// References. Each connection holds one on its source's row, so a row with connections is never reclaimed, and an index
// is valid for as long as the reference is held. Acquire on a dead row fails and adds a new one ahead of it.
//
// Chains. Insertion happens only at the head, by CAS from the head that the search started from, so two writers cannot
// add one key twice. Only the reader unlinks. A row that a writer visits keeps its `next` until the epoch in which it
// was unlinked has passed, so there is no ABA at the head. The free lists are Treiber stacks with a tag.
//
// Displacement. Newcomers may take all but the last eighth of the rows, which is for entitled sources: those that are
// proven or hold many connections. When that eighth is in use, the reader selects rows of light, unproven sources to
// make room:
//
//   live ── Displace: kLeaving ──> leaving ── the writers' flows let go of it (flow_attribution.h) ──> Retire ──> dead
//
// Acquire gives no reference to a leaving row, and adds none ahead of it: its source has no row until that one is gone.
//
// A source may get a row while some of its connections are counted without one. Its row is then created with
// kGathering, which Reveal clears once all of them are counted on it. The reader hides gathering and leaving rows and
// counts their connections as unattributed, so that a visible source is complete.
//
// Proof. `references` also holds two bits, which writers set while the row's line is in the cache anyway: a TCP
// connection was established; a connection of another protocol was answered. The reader takes them when it takes the
// row's lane. They belong to no lane: they say that it happened, not when. A new source's row starts without them.
//
// Touched rows. Most sources are silent most of the time, so the reader folds only blocks of rows in which a writer did
// something since the last flip: beside each chunk every lane has a word with a bit for each block. A writer sets the
// bit of its lane in the batch in which it changes the row, and only if it is not set yet.
//
// Failures. They are rare, and the row has no room for them: an array beside each chunk holds them, allocated at the
// chunk's first failure. The reader looks for them only where `closed` changed.
//
// Memory order: key and family are written before the linking release and read after an acquire of the head or a
// `next`; the reader's visit reads them after an acquire of `references`. Lane counters and the bits of touched blocks
// are relaxed: the epoch orders them. `references` is acq_rel where life and death are decided.
//
// Threads: Acquire, Release, Add within a batch of any registered writer. Everything under "Reader" under one lock.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/addresses/keyed_hash.h"
#include "collectors/tally/epoch.h"

namespace conntally {

using SourceRow = std::uint32_t;
inline constexpr SourceRow kNoSourceRow = UINT32_MAX;

// Who requests a new row. Newcomers leave some rows to the entitled.
enum class Claim : std::uint8_t { kNewcomer, kEntitled };

// The changes of one batch, or of several folded ones, to one source.
struct SourceDelta {
  std::int32_t connections = 0;
  std::int32_t unreplied = 0;
  std::uint32_t opened = 0;
  std::uint32_t closed = 0;
  std::int32_t destination_ports = 0;
  std::uint32_t failed = 0;  // of the closed ones

  bool IsZero() const {
    return connections == 0 && unreplied == 0 && opened == 0 && closed == 0 && destination_ports == 0;
  }
};

// How well a source is proven to exist, the least first. A TCP connection that reached ESTABLISHED cannot be forged
// blindly, since conntrack checks the sequence numbers against the window; an answered UDP or ICMP request can.
enum class Proof : std::uint8_t { kUnanswered, kAnswered, kProven };

constexpr const char* NameOf(Proof proof) {
  constexpr std::array kNames{"unanswered", "answered", "proven"};
  return kNames[static_cast<std::size_t>(proof)];
}

class SourceTable {
 public:
  static constexpr std::uint32_t kRowsPerChunk = 4096;
  static constexpr std::uint32_t kRowsPerBlock = kRowsPerChunk / 64;

  // `newcomers_max` rows are for all sources, the others only for entitled ones.
  SourceTable(std::uint32_t rows_max, std::uint32_t newcomers_max, KeyedHash hash);
  SourceTable(std::uint32_t rows_max, KeyedHash hash) : SourceTable(rows_max, rows_max, hash) {}
  ~SourceTable();
  SourceTable(const SourceTable&) = delete;
  SourceTable& operator=(const SourceTable&) = delete;

  // For writers, within a batch.

  std::uint64_t Hash(const IpAddress& source) const;
  // Prefetches the head of the source's chain.
  void Prefetch(std::uint64_t hash) const;
  // The source's row, unless others share its chain or it has none (kNoSourceRow); only for prefetching.
  SourceRow LikelyRow(std::uint64_t hash) const;
  void PrefetchRow(SourceRow row) const;
  // The source's row, with one more reference; kNoSourceRow if there is none for it. If `gathering` is not null, a new
  // row is gathering and is added to it.
  SourceRow Acquire(const IpAddress& source, std::uint64_t hash, Claim claim = Claim::kNewcomer,
                    std::vector<SourceRow>* gathering = nullptr);
  // Call it when all connections of the source are counted on its row, in batches that have ended.
  void Reveal(SourceRow row);
  bool IsLeaving(SourceRow row) const;
  // Rows chosen by Displace that have not left yet.
  std::uint32_t leaving() const { return leaving_.load(std::memory_order_relaxed); }
  // The most connections of a source that may be displaced next.
  std::int64_t light_connections() const { return light_connections_.load(std::memory_order_relaxed); }
  void Release(SourceRow row);
  void Add(SourceRow row, std::size_t lane, const SourceDelta& delta);
  void NoteProof(SourceRow row, std::size_t lane, Proof proof);
  // Has the reader look at the row. Add and NoteProof do; whoever acquires a row must, lest it is never reclaimed.
  void Touch(SourceRow row, std::size_t lane);

  // Reader.

  // Rows 0 .. row_count() - 1 have been used at least once.
  std::uint32_t row_count() const;
  // nullopt for a row that is free or dead.
  std::optional<IpAddress> LiveSource(SourceRow row) const;
  // A live source's row; kNoSourceRow if there is none.
  SourceRow Find(const IpAddress& source) const;
  // Calls visit(first row, row after the last) for each block that was touched in a frozen lane. A block is touched
  // until its visit has returned.
  template <typename Visitor>
  void TakeTouched(std::size_t frozen_lane, Visitor&& visit) {
    for (std::uint32_t chunk = 0; chunk * kRowsPerChunk < row_count(); ++chunk) {
      std::atomic<std::uint64_t>& touched = touched_[chunk][frozen_lane];
      for (auto left = touched.load(std::memory_order_relaxed); left != 0; left &= left - 1) {
        const SourceRow first =
            chunk * kRowsPerChunk + static_cast<std::uint32_t>(std::countr_zero(left)) * kRowsPerBlock;
        visit(first, std::min(first + kRowsPerBlock, row_count()));
        touched.store(left & (left - 1), std::memory_order_relaxed);
      }
    }
  }
  // Takes a frozen lane's contents and zeroes it.
  SourceDelta TakeLane(SourceRow row, std::size_t frozen_lane);
  // The strongest proof noted for the source since the last call.
  Proof TakeProof(SourceRow row);
  bool IsGathering(SourceRow row) const;
  // How many rows should leave to make room for entitled sources.
  std::uint32_t crowding() const;
  void Displace(SourceRow row);
  void set_light_connections(std::int64_t connections) {
    light_connections_.store(connections, std::memory_order_relaxed);
  }
  // Retires a row without references; false if it has one, or is gathering. The next FreeRetired frees it.
  bool Retire(SourceRow row);
  // Call after each Flip, before any Retire that follows it.
  void FreeRetired();

 private:
  struct Row;
  struct Shard;
  struct Failures;

  static constexpr unsigned kShards = 16;

  Row& At(SourceRow row) const;
  Shard& ShardOf(std::uint64_t hash) const;
  std::atomic<SourceRow>& BucketOf(std::uint64_t hash) const;
  SourceRow Allocate(std::uint64_t hash, Claim claim);
  SourceRow Take(std::uint64_t hash);
  void GiveBack(SourceRow row, Shard& shard);
  SourceRow AllocateFresh();
  void AddFailed(SourceRow row, std::size_t lane, std::uint32_t failed);
  void Unlink(SourceRow row, std::atomic<SourceRow>& bucket);

  const std::uint32_t rows_max_;
  const std::uint32_t newcomers_max_;
  const KeyedHash hash_;
  std::uint32_t bucket_mask_ = 0;  // within a shard
  std::unique_ptr<Shard[]> shards_;
  std::unique_ptr<std::atomic<Row*>[]> chunks_;
  std::unique_ptr<std::atomic<Failures*>[]> failures_;                    // by chunk; null: none so far
  std::unique_ptr<std::array<std::atomic<std::uint64_t>, 2>[]> touched_;  // by chunk and lane: a bit for each block
  std::atomic<std::uint32_t> fresh_{0};
  // All three relaxed: they only count, and order nothing.
  std::atomic<std::uint32_t> taken_{0};  // rows that are not free
  std::atomic<std::uint32_t> leaving_{0};
  std::atomic<std::int64_t> light_connections_{0};
  std::vector<SourceRow> retired_;
};

}  // namespace conntally
