// SourceTable: one row per source address, lock-free and sharded by keyed hash. Writers find, add and count;
// one reader at a time folds, visits and reclaims. Nobody waits for anybody but a reader for the end of
// batches (epoch.h).
//
// Rows. A row is one cache line in an arena that grows by chunks up to `rows_max` and never moves. Its life:
//
//   free ── Acquire fills it in, links it at its bucket's head (CAS, release) ──> live
//   live ── Retire: CAS references 0 -> kDead, then unlink ──> dead ── one Flip later ──> free
//
// A new row shows itself to the reader (kUnlinked is cleared) once it is linked: by whoever added it, or found it,
// first, and so within the batch of everyone who counts on it.
//
// References. Each connection holds one on its source's row, so a row with connections is never reclaimed, and an index
// is valid for as long as the reference is held. Acquire on a dead row fails and adds a fresh one ahead of it.
//
// Chains. Insertion happens only at the head, by CAS from the very head that was searched, so two writers cannot add
// one key twice. Only the reader unlinks. A row that a writer stands on keeps its `next` until the epoch in which
// it was unlinked has passed, hence no ABA at the head either. The free lists are Treiber stacks with a tag.
//
// Displacement. Newcomers may take all but the last eighth of the rows; that is for who is entitled: a source that has
// proven itself, or holds much. When it is used, the reader chooses the rows of light, unproven sources to make room:
//
//   live ── Displace: kLeaving ──> leaving ── the writers' flows let go of it (flow_attribution.h) ──> Retire ──> dead
//
// Acquire gives no reference on a leaving row, and none ahead of it: its source has no row until that one is gone.
//
// A source that gets a row while connections of it may be counted without one is gathered first: its row is made with
// kGathering, which Reveal takes away when all of them are counted on it. The reader shows no row that gathers or
// leaves and counts its connections as unattributed, so that a source that is shown is whole.
//
// What a source shows. `references` also holds two bits, set by whoever counts on the row while its line is in the
// cache anyway: a TCP connection was established, another one was answered. The reader takes them once a second. They
// belong to no lane: they say that it happened, not when, and a new source's row begins without them.
//
// Failures. They are seldom, and the row is full: they stand in an array beside each chunk, made by the first failure
// in it, and come with `closed`: the reader looks for them only where something was closed.
//
// Memory order: key and family are written before the linking release and read after an acquire of the head or a
// `next`; the reader's visit reads them after an acquire of `references`. Lane counters are relaxed: the epoch orders
// them. `references` is acq_rel where life and death are decided.
//
// Threads: Acquire, Release, Add within a batch of any registered writer. Everything under "Reader" under one lock.
#pragma once

#include <array>
#include <atomic>
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

// Who wants a new row. Newcomers leave some to the entitled.
enum class Claim : std::uint8_t { kNewcomer, kEntitled };

// What a batch, or a fold of many, changed on one source.
struct SourceDelta {
  std::int32_t connections = 0;
  std::int32_t unreplied = 0;
  std::uint32_t opened = 0;
  std::uint32_t closed = 0;
  std::int32_t destination_ports = 0;
  std::uint32_t failed = 0;  // of those closed

  bool IsZero() const {
    return connections == 0 && unreplied == 0 && opened == 0 && closed == 0 && destination_ports == 0;
  }
};

// What a source has shown that it is there, the least first. A TCP connection that reached ESTABLISHED cannot be forged
// blindly, since conntrack checks the sequence numbers against the window; an answered UDP or ICMP question can.
enum class Proof : std::uint8_t { kUnanswered, kAnswered, kProven };

constexpr const char* NameOf(Proof proof) {
  constexpr std::array kNames{"unanswered", "answered", "proven"};
  return kNames[static_cast<std::size_t>(proof)];
}

class SourceTable {
 public:
  // `newcomers_max` of the rows are for all, the others for the entitled alone.
  SourceTable(std::uint32_t rows_max, std::uint32_t newcomers_max, KeyedHash hash);
  SourceTable(std::uint32_t rows_max, KeyedHash hash) : SourceTable(rows_max, rows_max, hash) {}
  ~SourceTable();
  SourceTable(const SourceTable&) = delete;
  SourceTable& operator=(const SourceTable&) = delete;

  // Writers, within a batch.

  std::uint64_t Hash(const IpAddress& source) const;
  // Brings the start of the source's chain into the cache.
  void Prefetch(std::uint64_t hash) const;
  // The source's row, unless others share its chain or it has none (kNoSourceRow): to prefetch, no more.
  SourceRow LikelyRow(std::uint64_t hash) const;
  void PrefetchRow(SourceRow row) const;
  // The source's row, with one more reference; kNoSourceRow when there is none for it. One that had to be made gathers,
  // and is added to `gathering`, where that is not null.
  SourceRow Acquire(const IpAddress& source, std::uint64_t hash, Claim claim = Claim::kNewcomer,
                    std::vector<SourceRow>* gathering = nullptr);
  // All that is known of the source is counted on its row, in batches that have ended.
  void Reveal(SourceRow row);
  bool IsLeaving(SourceRow row) const;
  // Rows that Displace has told to leave, and that have not left.
  std::uint32_t leaving() const { return leaving_.load(std::memory_order_relaxed); }
  // How many connections the heaviest source holds that would be displaced next.
  std::int64_t light_connections() const { return light_connections_.load(std::memory_order_relaxed); }
  void Release(SourceRow row);
  void Add(SourceRow row, std::size_t lane, const SourceDelta& delta);
  void NoteProof(SourceRow row, Proof proof);

  // Reader.

  // Rows 0 .. row_count() - 1 have been used at some time.
  std::uint32_t row_count() const;
  // nullopt for a row that is free or dead.
  std::optional<IpAddress> LiveSource(SourceRow row) const;
  // Takes what a frozen lane holds and leaves it zero.
  SourceDelta TakeLane(SourceRow row, std::size_t frozen_lane);
  // The most that was noted of the source since the last call.
  Proof TakeProof(SourceRow row);
  bool IsGathering(SourceRow row) const;
  // How many rows should leave, so that the entitled find room.
  std::uint32_t crowding() const;
  void Displace(SourceRow row);
  void set_light_connections(std::int64_t connections) {
    light_connections_.store(connections, std::memory_order_relaxed);
  }
  // Ends a row that nobody refers to; false when somebody does, or it gathers. The next FreeRetired frees it.
  bool Retire(SourceRow row);
  // Call after each Flip, before any Retire that follows it.
  void FreeRetired();

 private:
  struct Row;
  struct Shard;
  struct Failures;

  static constexpr unsigned kShards = 16;
  static constexpr std::uint32_t kRowsPerChunk = 4096;

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
  std::unique_ptr<std::atomic<Failures*>[]> failures_;  // by chunk; null: none so far
  std::atomic<std::uint32_t> fresh_{0};
  // Relaxed, all three: they say how much, and order nothing.
  std::atomic<std::uint32_t> taken_{0};  // rows that are not free
  std::atomic<std::uint32_t> leaving_{0};
  std::atomic<std::int64_t> light_connections_{0};
  std::vector<SourceRow> retired_;
};

}  // namespace conntally
