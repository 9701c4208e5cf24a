// How many distinct destination ports each source is connected to now: a count of connections per (source, port), in
// one open-addressing table. Exact, unlike a sketch, and it decreases when connections end. A slot is 8 B, at most one
// per connection; at its load of 12-50 %, a look-up nearly always needs one cache line.
//
// Threads: one owner, the writer.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "collectors/tally/source_table.h"

namespace conntally {

class PortCounts {
 public:
  explicit PortCounts(std::uint64_t secret);

  // True if this is the source's first connection to the port.
  bool Add(SourceRow source, std::uint16_t port);
  // True if it was the last one.
  bool Remove(SourceRow source, std::uint16_t port);
  // Prefetches the count's slot. Not inline: gcc 12 takes the call for one without effects and leaves it out.
  void Prefetch(SourceRow source, std::uint16_t port) const;
  std::size_t memory_bytes() const { return capacity_ * sizeof(Slot); }

 private:
  // (source, port) in the high bits, the connections in the low ones, up to kSlotMax; the few higher counts continue in
  // more_. 0: free.
  using Slot = std::uint64_t;
  static constexpr Slot kSlotMax = UINT16_MAX;
  static constexpr std::size_t kCapacityMin = 64;

  static std::uint64_t KeyOf(SourceRow source, std::uint16_t port) { return std::uint64_t{source} << 16 | port; }
  std::size_t HomeOf(std::uint64_t key) const;
  Slot& Find(std::uint64_t key);  // the key's slot, or the free one for it
  void Erase(Slot& slot);
  void Resize(std::size_t capacity);

  std::uint64_t secret_;
  std::uint64_t multiplier_;  // odd, also secret
  std::size_t capacity_ = 0;  // a power of two
  std::size_t size_ = 0;
  std::unique_ptr<Slot[]> slots_;
  std::unordered_map<std::uint64_t, std::uint64_t> more_;  // by key: connections beyond kSlotMax
};

}  // namespace conntally
