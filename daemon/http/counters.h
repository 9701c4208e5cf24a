// The server's counters. Its threads write them, any thread reads them; each is independent, so all accesses are
// relaxed.
#pragma once

#include <atomic>
#include <cstdint>

namespace conntally::http {

struct Counters {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> connections_turned_away{0};
  std::atomic<std::uint64_t> responses_turned_away{0};
  std::atomic<std::uint64_t> deadlines_missed{0};
  std::atomic<std::uint64_t> handler_failures{0};
  std::atomic<std::uint64_t> over_rate_limit{0};
  std::atomic<std::uint64_t> passwords_turned_away{0};
  std::atomic<unsigned> connections{0};
};

inline void Count(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace conntally::http
