#include "collectors/tally/source_table.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "collectors/tally/source_table_rows.h"

namespace conntally {

SourceTable::SourceTable(std::uint32_t rows_max, std::uint32_t newcomers_max, KeyedHash hash)
    : rows_max_(rows_max), newcomers_max_(newcomers_max), hash_(hash) {
  static_assert(sizeof(Row) == kCacheLineBytes);
  assert(rows_max > 0 && rows_max < kNoSourceRow - kRowsPerChunk);
  const std::uint32_t buckets_per_shard = std::bit_ceil(std::max(rows_max / kShards, 16U));
  bucket_mask_ = buckets_per_shard - 1;
  shards_ = std::make_unique<Shard[]>(kShards);
  for (unsigned i = 0; i < kShards; ++i) {
    shards_[i].buckets = std::make_unique<std::atomic<SourceRow>[]>(buckets_per_shard);
    for (std::uint32_t b = 0; b < buckets_per_shard; ++b) {
      shards_[i].buckets[b].store(kNoSourceRow, std::memory_order_relaxed);
    }
  }
  chunks_ = std::make_unique<std::atomic<Row*>[]>(rows_max / kRowsPerChunk + 1);
  failures_ = std::make_unique<std::atomic<Failures*>[]>(rows_max / kRowsPerChunk + 1);
  touched_ = std::make_unique<std::array<std::atomic<std::uint64_t>, 2>[]>(rows_max / kRowsPerChunk + 1);
}

SourceTable::~SourceTable() {
  for (std::uint32_t i = 0; i <= rows_max_ / kRowsPerChunk; ++i) {
    const std::unique_ptr<Row[]> rows(chunks_[i].load(std::memory_order_relaxed));
    const std::unique_ptr<Failures> failures(failures_[i].load(std::memory_order_relaxed));
  }
}

std::uint64_t SourceTable::Hash(const IpAddress& source) const {
  std::array<std::uint8_t, 17> bytes;
  std::copy(source.bytes.begin(), source.bytes.end(), bytes.begin());
  bytes.back() = static_cast<std::uint8_t>(source.family);
  return hash_(std::as_bytes(std::span(bytes)));
}

void SourceTable::Prefetch(std::uint64_t hash) const { __builtin_prefetch(&BucketOf(hash)); }

SourceRow SourceTable::LikelyRow(std::uint64_t hash) const { return BucketOf(hash).load(std::memory_order_acquire); }

void SourceTable::PrefetchRow(SourceRow row) const { __builtin_prefetch(&At(row), 1); }

SourceRow SourceTable::Acquire(const IpAddress& source, std::uint64_t hash, Claim claim,
                               std::vector<SourceRow>* gathering) {
  const std::uint32_t family = source.family == Family::kIpv6 ? kIpv6 : 0;
  std::atomic<SourceRow>& bucket = BucketOf(hash);
  SourceRow added = kNoSourceRow;
  SourceRow head = bucket.load(std::memory_order_acquire);
  for (;;) {
    for (SourceRow i = head; i != kNoSourceRow; i = At(i).next.load(std::memory_order_acquire)) {
      Row& row = At(i);
      if (row.address != source.bytes) continue;
      const std::uint32_t before = row.references.fetch_add(1, std::memory_order_acq_rel);
      if ((before & kDead) == 0 && (before & kIpv6) == family) {
        // The writer that added it may clear the flag only in a later epoch than this batch's; but the counts of this
        // batch must be visible at its end.
        if ((before & kUnlinked) != 0) row.references.fetch_and(~kUnlinked, std::memory_order_release);
        if (added != kNoSourceRow) {
          GiveBack(added, ShardOf(hash));
          if (gathering != nullptr) gathering->pop_back();
        }
        if ((before & kLeaving) == 0) return i;
        row.references.fetch_sub(1, std::memory_order_acq_rel);
        return kNoSourceRow;
      }
      row.references.fetch_sub(1, std::memory_order_acq_rel);
    }
    if (added == kNoSourceRow) {
      added = Allocate(hash, claim);
      if (added == kNoSourceRow) return kNoSourceRow;
      try {
        if (gathering != nullptr) gathering->push_back(added);
      } catch (...) {
        GiveBack(added, ShardOf(hash));
        throw;
      }
    }
    Row& row = At(added);
    row.address = source.bytes;
    row.next.store(head, std::memory_order_relaxed);
    row.references.store(kUnlinked | (gathering != nullptr ? kGathering : 0) | family | 1, std::memory_order_relaxed);
    if (bucket.compare_exchange_strong(head, added, std::memory_order_acq_rel, std::memory_order_acquire)) {
      row.references.fetch_and(~kUnlinked, std::memory_order_release);
      return added;
    }
    row.references.store(kDead, std::memory_order_relaxed);  // another writer was first: search its additions
  }
}

void SourceTable::Reveal(SourceRow row) { At(row).references.fetch_and(~kGathering, std::memory_order_release); }
bool SourceTable::IsLeaving(SourceRow row) const {
  return (At(row).references.load(std::memory_order_relaxed) & kLeaving) != 0;
}

void SourceTable::Release(SourceRow row) { At(row).references.fetch_sub(1, std::memory_order_acq_rel); }

void SourceTable::Touch(SourceRow row, std::size_t lane) {
  std::atomic<std::uint64_t>& touched = touched_[row / kRowsPerChunk][lane];
  const std::uint64_t block = std::uint64_t{1} << (row % kRowsPerChunk / kRowsPerBlock);
  if ((touched.load(std::memory_order_relaxed) & block) == 0) touched.fetch_or(block, std::memory_order_relaxed);
}

void SourceTable::Add(SourceRow index, std::size_t lane, const SourceDelta& delta) {
  Touch(index, lane);
  Row& row = At(index);
  const std::uint64_t held = PackSums(delta.connections, delta.unreplied);
  const std::uint64_t passed = std::uint64_t{delta.opened} << 32 | delta.closed;
  if (held != 0) row.lanes[lane].held.fetch_add(held, std::memory_order_relaxed);
  if (passed != 0) row.lanes[lane].passed.fetch_add(passed, std::memory_order_relaxed);
  if (delta.destination_ports != 0) {
    row.destination_ports[lane].fetch_add(delta.destination_ports, std::memory_order_relaxed);
  }
  if (delta.failed != 0) AddFailed(index, lane, delta.failed);
}

void SourceTable::AddFailed(SourceRow row, std::size_t lane, std::uint32_t failed) {
  std::atomic<Failures*>& place = failures_[row / kRowsPerChunk];
  Failures* failures = place.load(std::memory_order_acquire);
  if (failures == nullptr) {
    auto made = std::unique_ptr<Failures>(new (std::nothrow) Failures);
    if (made == nullptr) return;  // no memory: better miss the failure than count half of the connection's end
    if (place.compare_exchange_strong(failures, made.get(), std::memory_order_acq_rel)) failures = made.release();
  }
  failures->lanes[row % kRowsPerChunk][lane].fetch_add(failed, std::memory_order_relaxed);
}

void SourceTable::NoteProof(SourceRow index, std::size_t lane, Proof proof) {
  if (proof == Proof::kUnanswered) return;
  const std::uint32_t bit = proof == Proof::kProven ? kProven : kAnswered;
  std::atomic<std::uint32_t>& references = At(index).references;
  if ((references.load(std::memory_order_relaxed) & bit) == 0) references.fetch_or(bit, std::memory_order_relaxed);
  Touch(index, lane);
}

SourceRow SourceTable::Allocate(std::uint64_t hash, Claim claim) {
  if (claim == Claim::kNewcomer && taken_.load(std::memory_order_relaxed) >= newcomers_max_) return kNoSourceRow;
  const SourceRow row = Take(hash);
  if (row != kNoSourceRow) taken_.fetch_add(1, std::memory_order_relaxed);
  return row;
}

void SourceTable::GiveBack(SourceRow row, Shard& shard) {
  shard.Push(*this, row);
  taken_.fetch_sub(1, std::memory_order_relaxed);
}

// First the shard's own free rows, then unused rows, then other shards' free rows.
SourceRow SourceTable::Take(std::uint64_t hash) {
  const SourceRow own = ShardOf(hash).Pop(*this);
  if (own != kNoSourceRow) return own;
  const SourceRow fresh = AllocateFresh();
  if (fresh != kNoSourceRow) return fresh;
  for (unsigned i = 0; i < kShards; ++i) {
    const SourceRow spare = shards_[i].Pop(*this);
    if (spare != kNoSourceRow) return spare;
  }
  return kNoSourceRow;
}

SourceRow SourceTable::AllocateFresh() {
  std::uint32_t row = fresh_.load(std::memory_order_relaxed);
  for (;;) {
    if (row >= rows_max_) return kNoSourceRow;
    std::atomic<Row*>& chunk = chunks_[row / kRowsPerChunk];
    if (chunk.load(std::memory_order_acquire) == nullptr) {
      auto rows = std::make_unique<Row[]>(kRowsPerChunk);
      Row* expected = nullptr;
      if (chunk.compare_exchange_strong(expected, rows.get(), std::memory_order_acq_rel)) rows.release();
    }
    // Release: a thread that sees the count also sees the chunk.
    if (fresh_.compare_exchange_weak(row, row + 1, std::memory_order_acq_rel)) return row;
  }
}

}  // namespace conntally
