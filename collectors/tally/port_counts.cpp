#include "collectors/tally/port_counts.h"

#include <utility>

namespace conntally {

PortCounts::PortCounts(std::uint64_t secret) : secret_(secret) { Resize(kCapacityMin); }

// Multiplication by a secret, folded: nobody outside can aim ports at one place of the table.
std::size_t PortCounts::HomeOf(std::uint64_t key) const {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{key ^ secret_} * (secret_ | 1) * 0x9E3779B97F4A7C15U;
  return static_cast<std::size_t>(static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product)) &
         (capacity_ - 1);
}

PortCounts::Slot& PortCounts::Find(std::uint64_t key) {
  std::size_t i = HomeOf(key);
  while (slots_[i].key != 0 && slots_[i].key != key) i = (i + 1) & (capacity_ - 1);
  return slots_[i];
}

bool PortCounts::Add(SourceRow source, std::uint16_t port) {
  if ((size_ + 1) * 4 > capacity_ * 3) Resize(capacity_ * 2);
  Slot& slot = Find(KeyOf(source, port));
  if (slot.connections++ != 0) return false;
  slot.key = KeyOf(source, port);
  ++size_;
  return true;
}

bool PortCounts::Remove(SourceRow source, std::uint16_t port) {
  Slot& slot = Find(KeyOf(source, port));
  if (slot.key == 0 || --slot.connections != 0) return false;
  Erase(slot);
  --size_;
  if (capacity_ > kCapacityMin && size_ * 8 < capacity_) Resize(capacity_ / 2);
  return true;
}

// Moves back whatever the freed slot would cut off from its home.
void PortCounts::Erase(Slot& slot) {
  std::size_t hole = static_cast<std::size_t>(&slot - slots_.get());
  for (std::size_t i = (hole + 1) & (capacity_ - 1); slots_[i].key != 0; i = (i + 1) & (capacity_ - 1)) {
    const std::size_t from_home = (i - HomeOf(slots_[i].key)) & (capacity_ - 1);
    const std::size_t from_hole = (i - hole) & (capacity_ - 1);
    if (from_home < from_hole) continue;
    slots_[hole] = slots_[i];
    hole = i;
  }
  slots_[hole] = Slot{};
}

void PortCounts::Resize(std::size_t capacity) {
  const std::unique_ptr<Slot[]> old = std::exchange(slots_, std::make_unique<Slot[]>(capacity));
  const std::size_t old_capacity = std::exchange(capacity_, capacity);
  for (std::size_t i = 0; i < old_capacity; ++i) {
    if (old[i].key != 0) Find(old[i].key) = old[i];
  }
}

}  // namespace conntally
