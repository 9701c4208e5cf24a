#include "collectors/tally/source_table.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>

namespace conntally {
namespace {

constexpr std::uint32_t kDead = 1U << 31;
constexpr std::uint32_t kIpv6 = 1U << 30;
constexpr std::uint32_t kUnlinked = 1U << 29;  // filled in, perhaps not in a chain yet: nothing for the reader to see
constexpr std::uint32_t kProven = 1U << 28;
constexpr std::uint32_t kAnswered = 1U << 27;
constexpr std::uint32_t kGathering = 1U << 26;
constexpr std::uint32_t kLeaving = 1U << 25;
constexpr std::uint32_t kCountMask = kLeaving - 1;  // 33 million connections, which take 10 GB of the kernel's memory

// Two signed 32-bit sums in one word, so that one addition changes both. The low sum borrows from the high one when
// it is negative; unpacking gives it back.
std::uint64_t PackSums(std::int32_t high, std::int32_t low) {
  return (static_cast<std::uint64_t>(static_cast<std::int64_t>(high)) << 32) +
         static_cast<std::uint64_t>(static_cast<std::int64_t>(low));
}
std::int32_t LowSum(std::uint64_t packed) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(packed)); }
std::int32_t HighSum(std::uint64_t packed) {
  const auto low = static_cast<std::uint64_t>(static_cast<std::int64_t>(LowSum(packed)));
  return static_cast<std::int32_t>(static_cast<std::uint32_t>((packed - low) >> 32));
}

}  // namespace

struct alignas(kCacheLineBytes) SourceTable::Row {
  struct Lane {
    std::atomic<std::uint64_t> held{0};    // connections, unreplied
    std::atomic<std::uint64_t> passed{0};  // opened, closed
  };
  std::array<std::uint8_t, 16> address{};
  std::atomic<SourceRow> next{kNoSourceRow};     // in a bucket's chain or a free list
  std::atomic<std::uint32_t> references{kDead};  // the count, and the bits above it
  std::array<Lane, 2> lanes;
  std::array<std::atomic<std::int32_t>, 2> destination_ports{};
};

struct SourceTable::Failures {
  std::array<std::array<std::atomic<std::uint32_t>, 2>, kRowsPerChunk> lanes{};
};

struct alignas(kCacheLineBytes) SourceTable::Shard {
  std::unique_ptr<std::atomic<SourceRow>[]> buckets;
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> free_list{kNoSourceRow};  // tag << 32 | row

  SourceRow Pop(const SourceTable& table) {
    std::uint64_t head = free_list.load(std::memory_order_acquire);
    for (;;) {
      const auto row = static_cast<SourceRow>(head);
      if (row == kNoSourceRow) return row;
      const SourceRow next = table.At(row).next.load(std::memory_order_relaxed);
      const std::uint64_t popped = (((head >> 32) + 1) << 32) | next;
      if (free_list.compare_exchange_weak(head, popped, std::memory_order_acquire)) return row;
    }
  }

  void Push(const SourceTable& table, SourceRow row) {
    std::uint64_t head = free_list.load(std::memory_order_relaxed);
    std::uint64_t pushed = 0;
    do {
      table.At(row).next.store(static_cast<SourceRow>(head), std::memory_order_relaxed);
      pushed = (((head >> 32) + 1) << 32) | row;
    } while (!free_list.compare_exchange_weak(head, pushed, std::memory_order_release, std::memory_order_relaxed));
  }
};

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
}

SourceTable::~SourceTable() {
  for (std::uint32_t i = 0; i <= rows_max_ / kRowsPerChunk; ++i) {
    std::unique_ptr<Row[]>(chunks_[i].load(std::memory_order_relaxed));
    std::unique_ptr<Failures>(failures_[i].load(std::memory_order_relaxed));
  }
}

SourceTable::Row& SourceTable::At(SourceRow row) const {
  return chunks_[row / kRowsPerChunk].load(std::memory_order_acquire)[row % kRowsPerChunk];
}

SourceTable::Shard& SourceTable::ShardOf(std::uint64_t hash) const { return shards_[hash >> 60]; }

std::atomic<SourceRow>& SourceTable::BucketOf(std::uint64_t hash) const {
  return ShardOf(hash).buckets[hash & bucket_mask_];
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
        // Its adder may stand just before saying so itself, in a later epoch than this batch's; what is counted here
        // must be seen at this one's end.
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
    row.references.store(kDead, std::memory_order_relaxed);  // another writer was first: search what it added
  }
}

void SourceTable::Reveal(SourceRow row) { At(row).references.fetch_and(~kGathering, std::memory_order_release); }

bool SourceTable::IsGathering(SourceRow row) const {
  return (At(row).references.load(std::memory_order_acquire) & kGathering) != 0;
}

bool SourceTable::IsLeaving(SourceRow row) const {
  return (At(row).references.load(std::memory_order_relaxed) & kLeaving) != 0;
}

std::uint32_t SourceTable::crowding() const {
  const std::uint32_t going = leaving() + static_cast<std::uint32_t>(retired_.size());
  const std::uint32_t staying = taken_.load(std::memory_order_relaxed) - going;
  return staying > newcomers_max_ ? staying - newcomers_max_ : 0;
}

void SourceTable::Displace(SourceRow row) {
  At(row).references.fetch_or(kLeaving, std::memory_order_relaxed);
  leaving_.fetch_add(1, std::memory_order_relaxed);
}

void SourceTable::Release(SourceRow row) { At(row).references.fetch_sub(1, std::memory_order_acq_rel); }

void SourceTable::Add(SourceRow index, std::size_t lane, const SourceDelta& delta) {
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
    if (made == nullptr) return;  // half a connection's end must not be counted: rather miss that it failed
    if (place.compare_exchange_strong(failures, made.get(), std::memory_order_acq_rel)) failures = made.release();
  }
  failures->lanes[row % kRowsPerChunk][lane].fetch_add(failed, std::memory_order_relaxed);
}

void SourceTable::NoteProof(SourceRow index, Proof proof) {
  if (proof == Proof::kUnanswered) return;
  const std::uint32_t bit = proof == Proof::kProven ? kProven : kAnswered;
  std::atomic<std::uint32_t>& references = At(index).references;
  if ((references.load(std::memory_order_relaxed) & bit) == 0) references.fetch_or(bit, std::memory_order_relaxed);
}

Proof SourceTable::TakeProof(SourceRow index) {
  std::atomic<std::uint32_t>& references = At(index).references;
  if ((references.load(std::memory_order_relaxed) & (kProven | kAnswered)) == 0) return Proof::kUnanswered;
  const std::uint32_t before = references.fetch_and(~(kProven | kAnswered), std::memory_order_acq_rel);
  return (before & kProven) != 0 ? Proof::kProven : Proof::kAnswered;
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

// A shard's own free rows first, then rows never used, then what other shards have to spare.
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
    // Release: who sees the count also sees the chunk.
    if (fresh_.compare_exchange_weak(row, row + 1, std::memory_order_acq_rel)) return row;
  }
}

std::uint32_t SourceTable::row_count() const { return fresh_.load(std::memory_order_acquire); }

std::optional<IpAddress> SourceTable::LiveSource(SourceRow index) const {
  const Row& row = At(index);
  const std::uint32_t references = row.references.load(std::memory_order_acquire);
  if ((references & (kDead | kUnlinked)) != 0) return std::nullopt;
  return IpAddress{row.address, (references & kIpv6) != 0 ? Family::kIpv6 : Family::kIpv4};
}

SourceDelta SourceTable::TakeLane(SourceRow index, std::size_t frozen_lane) {
  Row& row = At(index);
  SourceDelta delta;
  Row::Lane& lane = row.lanes[frozen_lane];
  if (const std::uint64_t held = lane.held.load(std::memory_order_relaxed); held != 0) {
    delta.connections = HighSum(held);
    delta.unreplied = LowSum(held);
    lane.held.store(0, std::memory_order_relaxed);
  }
  if (const std::uint64_t passed = lane.passed.load(std::memory_order_relaxed); passed != 0) {
    delta.opened = static_cast<std::uint32_t>(passed >> 32);
    delta.closed = static_cast<std::uint32_t>(passed);
    lane.passed.store(0, std::memory_order_relaxed);
    Failures* failures = failures_[index / kRowsPerChunk].load(std::memory_order_acquire);
    if (delta.closed != 0 && failures != nullptr) {
      std::atomic<std::uint32_t>& failed = failures->lanes[index % kRowsPerChunk][frozen_lane];
      delta.failed = failed.load(std::memory_order_relaxed);
      if (delta.failed != 0) failed.store(0, std::memory_order_relaxed);
    }
  }
  delta.destination_ports = row.destination_ports[frozen_lane].load(std::memory_order_relaxed);
  if (delta.destination_ports != 0) row.destination_ports[frozen_lane].store(0, std::memory_order_relaxed);
  return delta;
}

bool SourceTable::Retire(SourceRow index) {
  Row& row = At(index);
  std::uint32_t references = row.references.load(std::memory_order_acquire);
  if ((references & (kCountMask | kGathering)) != 0) return false;
  const IpAddress source{row.address, (references & kIpv6) != 0 ? Family::kIpv6 : Family::kIpv4};
  retired_.push_back(index);  // first, since it may throw
  if (!row.references.compare_exchange_strong(references, references | kDead, std::memory_order_acq_rel)) {
    retired_.pop_back();
    return false;
  }
  if ((references & kLeaving) != 0) leaving_.fetch_sub(1, std::memory_order_relaxed);
  Unlink(index, BucketOf(Hash(source)));
  return true;
}

void SourceTable::Unlink(SourceRow index, std::atomic<SourceRow>& bucket) {
  const SourceRow next = At(index).next.load(std::memory_order_relaxed);
  SourceRow head = index;
  while (!bucket.compare_exchange_strong(head, next, std::memory_order_acq_rel, std::memory_order_acquire)) {
    // Not the head (any more): whoever precedes it stays, since only this thread unlinks.
    SourceRow before = head;
    while (before != kNoSourceRow && At(before).next.load(std::memory_order_acquire) != index) {
      before = At(before).next.load(std::memory_order_acquire);
    }
    if (before != kNoSourceRow) {
      At(before).next.store(next, std::memory_order_release);
      return;
    }
    head = index;
  }
}

void SourceTable::FreeRetired() {
  for (const SourceRow index : retired_) {
    for (std::size_t lane = 0; lane < 2; ++lane) TakeLane(index, lane);
    GiveBack(index, shards_[index % kShards]);
  }
  retired_.clear();
}

}  // namespace conntally
