// How many distinct destination ports each source is connected to now: a count of connections per (source,
// port), in one open-addressing table. Exact, unlike a sketch, and it falls when connections end; 16 B a slot, at most one
// slot a connection.
//
// Threads: one writer, which owns it.
#pragma once

#include <cstdint>
#include <memory>

#include "collectors/tally/source_table.h"

namespace conntally {

class PortCounts {
 public:
  explicit PortCounts(std::uint64_t secret);

  // True when this is the source's first connection to the port.
  bool Add(SourceRow source, std::uint16_t port);
  // True when it was the last one.
  bool Remove(SourceRow source, std::uint16_t port);
  // Brings the count's place towards the cache.
  void Prefetch(SourceRow source, std::uint16_t port) const { __builtin_prefetch(&slots_[HomeOf(KeyOf(source, port))], 1); }
  std::size_t memory_bytes() const { return capacity_ * sizeof(Slot); }

 private:
  struct Slot {
    std::uint64_t key = 0;  // (source, port) + 1; 0: free
    std::uint32_t connections = 0;
  };
  static constexpr std::size_t kCapacityMin = 64;

  static std::uint64_t KeyOf(SourceRow source, std::uint16_t port) { return (std::uint64_t{source} << 16 | port) + 1; }
  std::size_t HomeOf(std::uint64_t key) const;
  Slot& Find(std::uint64_t key);  // the key's slot, or the free one where it belongs
  void Erase(Slot& slot);
  void Resize(std::size_t capacity);

  std::uint64_t secret_;
  std::size_t capacity_ = 0;  // a power of two
  std::size_t size_ = 0;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace conntally
