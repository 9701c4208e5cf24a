// The reader's part of SourceTable: takes lanes from rows, and retires rows.
#include "collectors/tally/source_table_rows.h"

namespace conntally {

bool SourceTable::IsGathering(SourceRow row) const {
  return (At(row).references.load(std::memory_order_acquire) & kGathering) != 0;
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

Proof SourceTable::TakeProof(SourceRow index) {
  std::atomic<std::uint32_t>& references = At(index).references;
  if ((references.load(std::memory_order_relaxed) & (kProven | kAnswered)) == 0) return Proof::kUnanswered;
  const std::uint32_t before = references.fetch_and(~(kProven | kAnswered), std::memory_order_acq_rel);
  return (before & kProven) != 0 ? Proof::kProven : Proof::kAnswered;
}

std::uint32_t SourceTable::row_count() const { return fresh_.load(std::memory_order_acquire); }

std::optional<IpAddress> SourceTable::LiveSource(SourceRow index) const {
  const Row& row = At(index);
  const std::uint32_t references = row.references.load(std::memory_order_acquire);
  if ((references & (kDead | kUnlinked)) != 0) return std::nullopt;
  return IpAddress{row.address, (references & kIpv6) != 0 ? Family::kIpv6 : Family::kIpv4};
}

SourceRow SourceTable::Find(const IpAddress& source) const {
  SourceRow row = BucketOf(Hash(source)).load(std::memory_order_acquire);
  while (row != kNoSourceRow && LiveSource(row) != source) row = At(row).next.load(std::memory_order_acquire);
  return row;
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
    // Not the head (any more): its predecessor stays, since only this thread unlinks.
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
