// A set of flows by their hashes, 10.7 to 16 B each. In parts that grow one after another, so that growing needs no
// second copy of the whole. Two flows of one hash are taken for one: of a million, once in some ten million sets.
//
// Threads: one owner.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace conntally {

class FlowHashes {
 public:
  void Insert(std::uint64_t hash) {
    Part& part = PartOf(hash);
    if ((part.size + 1) * 4 > part.slots.size() * 3) Grow(part);
    std::uint64_t& slot = part.slots[Find(part, Key(hash))];
    if (slot != 0) return;
    slot = Key(hash);
    ++part.size;
    ++size_;
  }
  // Moves back whatever the hole would cut off from its home.
  void Erase(std::uint64_t hash) {
    Part& part = PartOf(hash);
    if (part.size == 0) return;
    std::vector<std::uint64_t>& slots = part.slots;
    std::size_t hole = Find(part, Key(hash));
    if (slots[hole] == 0) return;
    const auto distance = [&](std::size_t from, std::size_t to) {
      return to >= from ? to - from : to + slots.size() - from;
    };
    for (std::size_t i = Next(part, hole); slots[i] != 0; i = Next(part, i)) {
      if (distance(HomeOf(part, slots[i]), i) < distance(hole, i)) continue;
      slots[hole] = slots[i];
      hole = i;
    }
    slots[hole] = 0;
    --part.size;
    --size_;
  }
  bool Contains(std::uint64_t hash) const {
    const Part& part = parts_[hash >> kPartShift];
    return part.size != 0 && part.slots[Find(part, Key(hash))] != 0;
  }
  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const {
    std::size_t slots = 0;
    for (const Part& part : parts_) slots += part.slots.capacity();
    return slots * sizeof(std::uint64_t);
  }
  // Gives the memory back.
  void Clear() { *this = {}; }

 private:
  static constexpr int kPartShift = 58;
  struct Part {
    std::vector<std::uint64_t> slots = {};  // 0: free
    std::size_t size = 0;
  };

  static std::uint64_t Key(std::uint64_t hash) { return std::max<std::uint64_t>(hash, 1); }
  Part& PartOf(std::uint64_t hash) { return parts_[hash >> kPartShift]; }
  // Of the bits that did not choose the part, mapped without a division (Lemire 2016).
  static std::size_t HomeOf(const Part& part, std::uint64_t key) {
    return static_cast<std::size_t>(((key & 0xffffffff) * part.slots.size()) >> 32);
  }
  static std::size_t Next(const Part& part, std::size_t i) { return i + 1 == part.slots.size() ? 0 : i + 1; }
  // Where the key is, or would be.
  static std::size_t Find(const Part& part, std::uint64_t key) {
    std::size_t i = HomeOf(part, key);
    while (part.slots[i] != 0 && part.slots[i] != key) i = Next(part, i);
    return i;
  }
  static void Grow(Part& part) {
    Part grown;
    grown.slots.resize(std::max<std::size_t>(16, part.slots.size() + part.slots.size() / 2));
    for (const std::uint64_t key : part.slots) {
      if (key != 0) grown.slots[Find(grown, key)] = key;
    }
    part.slots = std::move(grown.slots);
  }

  std::array<Part, std::size_t{1} << (64 - kPartShift)> parts_;
  std::size_t size_ = 0;
};

}  // namespace conntally
