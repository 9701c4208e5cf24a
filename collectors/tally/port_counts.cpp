#include "collectors/tally/port_counts.h"

#include <new>
#include <utility>

namespace conntally {

PortCounts::PortCounts(std::uint64_t secret) : secret_(secret), multiplier_((secret * 0x9E3779B97F4A7C15U) | 1) {
  Resize(kCapacityMin);
}

// Multiplication by a secret, folded: nobody outside can choose ports that share a slot.
std::size_t PortCounts::HomeOf(std::uint64_t key) const {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{key ^ secret_} * multiplier_;
  return static_cast<std::size_t>(static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product)) &
         (capacity_ - 1);
}

void PortCounts::Prefetch(SourceRow source, std::uint16_t port) const {
  __builtin_prefetch(&slots_[HomeOf(KeyOf(source, port))], 1);
}

PortCounts::Slot& PortCounts::Find(std::uint64_t key) {
  std::size_t i = HomeOf(key);
  while (slots_[i] != 0 && slots_[i] >> 16 != key) i = (i + 1) & (capacity_ - 1);
  return slots_[i];
}

bool PortCounts::Add(SourceRow source, std::uint16_t port) {
  if ((size_ + 1) * 2 > capacity_) Resize(capacity_ * 2);
  const std::uint64_t key = KeyOf(source, port);
  Slot& slot = Find(key);
  if (slot == 0) {
    slot = key << 16 | 1;
    ++size_;
    return true;
  }
  if ((slot & kSlotMax) == kSlotMax) {
    ++more_[key];
  } else {
    ++slot;
  }
  return false;
}

bool PortCounts::Remove(SourceRow source, std::uint16_t port) {
  const std::uint64_t key = KeyOf(source, port);
  Slot& slot = Find(key);
  if (slot == 0) return false;
  if ((slot & kSlotMax) == kSlotMax) {
    if (const auto more = more_.find(key); more != more_.end()) {
      if (--more->second == 0) more_.erase(more);
      return false;
    }
  }
  if ((--slot & kSlotMax) != 0) return false;
  Erase(slot);
  --size_;
  if (capacity_ > kCapacityMin && size_ * 8 < capacity_) {
    try {
      Resize(capacity_ / 2);
    } catch (const std::bad_alloc&) {  // it keeps its size
    }
  }
  return true;
}

// Moves back slots that the freed one would separate from their home.
void PortCounts::Erase(Slot& slot) {
  std::size_t hole = static_cast<std::size_t>(&slot - slots_.get());
  for (std::size_t i = (hole + 1) & (capacity_ - 1); slots_[i] != 0; i = (i + 1) & (capacity_ - 1)) {
    const std::size_t from_home = (i - HomeOf(slots_[i] >> 16)) & (capacity_ - 1);
    const std::size_t from_hole = (i - hole) & (capacity_ - 1);
    if (from_home < from_hole) continue;
    slots_[hole] = slots_[i];
    hole = i;
  }
  slots_[hole] = 0;
}

void PortCounts::Resize(std::size_t capacity) {
  const std::unique_ptr<Slot[]> old = std::exchange(slots_, std::make_unique<Slot[]>(capacity));
  const std::size_t old_capacity = std::exchange(capacity_, capacity);
  for (std::size_t i = 0; i < old_capacity; ++i) {
    if (old[i] != 0) Find(old[i] >> 16) = old[i];
  }
}

}  // namespace conntally
