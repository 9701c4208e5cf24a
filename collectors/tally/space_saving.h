// Space-Saving (Metwally, Agrawal, El Abbadi 2005): the sources with most packets, in a bounded number of entries. Of N
// packets counted in m entries:
//
//   - a source with more than N/m packets has an entry;
//   - count - error <= its packets <= count, and error <= N/m;
//   - count - error is what was counted since the source got its entry: exact, and never decreasing while it has one.
//
// The counts are ordered (the paper's Stream-Summary). Adding w packets passes at most w distinct counts, so it costs
// no more than w single packets, each O(1), and never more than the number of distinct counts. In a full table a
// newcomer replaces the smallest count in O(1). The index is keyed, so that senders cannot cause collisions.
//
// Not thread-safe.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/addresses/keyed_hash.h"

namespace conntally {

// `Payload` is stored with a source beside its count; it is reset for each new source.
template <typename Payload>
class SpaceSaving {
 public:
  struct Entry {
    IpAddress source;
    std::uint64_t count = 0;
    std::uint64_t error = 0;
    Payload payload{};

    std::uint64_t certain() const { return count - error; }
  };

  // 1 <= entries_max < 2^31.
  SpaceSaving(std::uint32_t entries_max, KeyedHash hash)
      : entries_max_(entries_max), hash_(hash), heads_(std::bit_ceil(entries_max), kNone) {
    assert(entries_max > 0 && entries_max < kNone / 2);
  }

  // packets >= 1. The reference is valid until the next Add.
  Entry& Add(const IpAddress& source, std::uint64_t packets) {
    std::uint32_t& head = HeadOf(source);
    Index index = head;
    while (index != kNone && slots_[index].entry.source != source) index = slots_[index].chain;
    if (index == kNone) index = slots_.size() < entries_max_ ? Append(source) : TakeOver(source);
    Raise(index, packets);
    return slots_[index].entry;
  }

  // nullptr if the source has no entry.
  const Entry* Find(const IpAddress& source) const {
    Index index = heads_[HashOf(source) & (heads_.size() - 1)];
    while (index != kNone && slots_[index].entry.source != source) index = slots_[index].chain;
    return index == kNone ? nullptr : &slots_[index].entry;
  }

  template <typename Visitor>  // void(const Entry&)
  void ForEach(Visitor&& visit) const {
    for (const Slot& slot : slots_) visit(slot.entry);
  }
  template <typename Visitor>  // void(Payload&)
  void ForEachPayload(Visitor&& visit) {
    for (Slot& slot : slots_) visit(slot.entry.payload);
  }

  std::size_t size() const { return slots_.size(); }
  // Sources that lost their entry to another.
  std::uint64_t evictions() const { return evictions_; }

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = UINT32_MAX;

  struct Slot {
    Entry entry;
    Index chain = kNone;  // next with the same head
    Index level = kNone;
    Index before = kNone;  // among entries with the same count
    Index after = kNone;
  };
  // All entries with one count. Levels form a list by count.
  struct Level {
    std::uint64_t count = 0;
    Index first = kNone;
    Index lower = kNone;
    Index higher = kNone;
  };

  std::uint64_t HashOf(const IpAddress& source) const {
    std::array<std::uint8_t, 17> bytes;
    std::copy(source.bytes.begin(), source.bytes.end(), bytes.begin());
    bytes.back() = static_cast<std::uint8_t>(source.family);
    return hash_(std::as_bytes(std::span(bytes)));
  }
  Index& HeadOf(const IpAddress& source) { return heads_[HashOf(source) & (heads_.size() - 1)]; }

  Index Append(const IpAddress& source) {
    const auto index = static_cast<Index>(slots_.size());
    slots_.push_back({});
    Enter(index, source);
    return index;
  }

  Index TakeOver(const IpAddress& source) {
    const Index index = levels_[lowest_].first;
    Slot& slot = slots_[index];
    Index* link = &HeadOf(slot.entry.source);
    while (*link != index) link = &slots_[*link].chain;
    *link = slot.chain;
    slot.entry.error = slot.entry.count;
    slot.entry.payload = {};
    Enter(index, source);
    ++evictions_;
    return index;
  }

  void Enter(Index index, const IpAddress& source) {
    Index& head = HeadOf(source);
    slots_[index].entry.source = source;
    slots_[index].chain = head;
    head = index;
  }

  // Moves the entry to the level of its new count.
  void Raise(Index index, std::uint64_t packets) {
    Slot& slot = slots_[index];
    const Index old = slot.level;
    slot.entry.count += packets;
    Index below = old;
    Index above = old == kNone ? lowest_ : levels_[old].higher;
    while (above != kNone && levels_[above].count < slot.entry.count) {
      below = above;
      above = levels_[above].higher;
    }
    const bool alone = old != kNone && levels_[old].first == index && slot.after == kNone;
    if (alone && below == old && (above == kNone || levels_[above].count != slot.entry.count)) {
      levels_[old].count = slot.entry.count;  // its level rises with it, without passing another
      return;
    }
    if (above == kNone || levels_[above].count != slot.entry.count) above = InsertLevel(below, above, slot.entry.count);
    if (old != kNone) Detach(index);
    Attach(index, above);
  }

  Index InsertLevel(Index below, Index above, std::uint64_t count) {
    Index level = free_level_;
    if (level != kNone) {
      free_level_ = levels_[level].higher;
    } else {
      level = static_cast<Index>(levels_.size());
      levels_.push_back({});
    }
    levels_[level] = {count, kNone, below, above};
    (below == kNone ? lowest_ : levels_[below].higher) = level;
    if (above != kNone) levels_[above].lower = level;
    return level;
  }

  void Attach(Index index, Index level) {
    Slot& slot = slots_[index];
    slot.level = level;
    slot.before = kNone;
    slot.after = std::exchange(levels_[level].first, index);
    if (slot.after != kNone) slots_[slot.after].before = index;
  }

  void Detach(Index index) {
    const Slot& slot = slots_[index];
    Level& level = levels_[slot.level];
    (slot.before == kNone ? level.first : slots_[slot.before].after) = slot.after;
    if (slot.after != kNone) slots_[slot.after].before = slot.before;
    if (level.first != kNone) return;
    (level.lower == kNone ? lowest_ : levels_[level.lower].higher) = level.higher;
    if (level.higher != kNone) levels_[level.higher].lower = level.lower;
    level.higher = std::exchange(free_level_, slot.level);
  }

  std::uint32_t entries_max_;
  KeyedHash hash_;
  std::vector<Index> heads_;
  std::vector<Slot> slots_;
  std::vector<Level> levels_;
  Index lowest_ = kNone;
  Index free_level_ = kNone;
  std::uint64_t evictions_ = 0;
};

}  // namespace conntally
