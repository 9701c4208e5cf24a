// Numbers by a 64-bit keyed hash, in an open-addressing table of 16 B per slot, for counts that start again in each
// round. Two keys with the same hash count as one: with 100,000 keys, once in some billions of rounds.
//
// Bounded; not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace conntally {

class HashedNumbers {
 public:
  explicit HashedNumbers(std::size_t numbers_max) : numbers_max_(numbers_max), slots_(kSlotsMin) {}

  // The hash's number, 0 at first; nullptr if it has none and there is no room. Valid until the next call.
  std::uint32_t* At(std::uint64_t hash) {
    hash = std::max<std::uint64_t>(hash, 1);
    Slot* slot = &Find(hash);
    if (slot->hash == hash) return &slot->number;
    if (size_ >= numbers_max_) return nullptr;
    if ((size_ + 1) * 4 > slots_.size() * 3) {
      Grow();
      slot = &Find(hash);
    }
    slot->hash = hash;
    ++size_;
    return &slot->number;
  }
  void Prefetch(std::uint64_t hash) const { __builtin_prefetch(&slots_[hash & (slots_.size() - 1)], 1); }
  std::size_t size() const { return size_; }
  std::size_t numbers_max() const { return numbers_max_; }

  // Keeps enough memory for the same number again.
  void Clear() {
    std::size_t slots = slots_.size();
    while (slots > kSlotsMin && size_ * 8 < slots) slots /= 2;
    if (slots == slots_.size()) {
      std::fill(slots_.begin(), slots_.end(), Slot{});
    } else {
      slots_ = std::vector<Slot>(slots);
    }
    size_ = 0;
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;  // 0: free
    std::uint32_t number = 0;
  };
  static constexpr std::size_t kSlotsMin = 1024;  // a power of two

  Slot& Find(std::uint64_t hash) {
    std::size_t i = hash & (slots_.size() - 1);
    while (slots_[i].hash != 0 && slots_[i].hash != hash) i = (i + 1) & (slots_.size() - 1);
    return slots_[i];
  }
  void Grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.hash != 0) Find(slot.hash) = slot;
    }
  }

  const std::size_t numbers_max_;
  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace conntally
