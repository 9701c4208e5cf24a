// The layout of a row of SourceTable, for the files that implement it. Protocol: source_table.h.
#pragma once

#include <new>

#include "collectors/tally/source_table.h"

namespace conntally {

inline constexpr std::uint32_t kDead = 1U << 31;
inline constexpr std::uint32_t kIpv6 = 1U << 30;
// Filled in, but perhaps not in a chain yet: invisible to the reader.
inline constexpr std::uint32_t kUnlinked = 1U << 29;
inline constexpr std::uint32_t kProven = 1U << 28;
inline constexpr std::uint32_t kAnswered = 1U << 27;
inline constexpr std::uint32_t kGathering = 1U << 26;
inline constexpr std::uint32_t kLeaving = 1U << 25;
// 33 million connections, which take 10 GB of the kernel's memory.
inline constexpr std::uint32_t kCountMask = kLeaving - 1;

// Two signed 32-bit sums in one word, so that one addition changes both. A negative low sum borrows from the high one;
// unpacking corrects that.
inline std::uint64_t PackSums(std::int32_t high, std::int32_t low) {
  return (static_cast<std::uint64_t>(static_cast<std::int64_t>(high)) << 32) +
         static_cast<std::uint64_t>(static_cast<std::int64_t>(low));
}
inline std::int32_t LowSum(std::uint64_t packed) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(packed));
}
inline std::int32_t HighSum(std::uint64_t packed) {
  const auto low = static_cast<std::uint64_t>(static_cast<std::int64_t>(LowSum(packed)));
  return static_cast<std::int32_t>(static_cast<std::uint32_t>((packed - low) >> 32));
}

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

inline SourceTable::Row& SourceTable::At(SourceRow row) const {
  return chunks_[row / kRowsPerChunk].load(std::memory_order_acquire)[row % kRowsPerChunk];
}

inline SourceTable::Shard& SourceTable::ShardOf(std::uint64_t hash) const { return shards_[hash >> 60]; }

inline std::atomic<SourceRow>& SourceTable::BucketOf(std::uint64_t hash) const {
  return ShardOf(hash).buckets[hash & bucket_mask_];
}

}  // namespace conntally
