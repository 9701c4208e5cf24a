#include "daemon/process/kept_memory.h"

#include <malloc.h>

#include <cstdlib>

namespace conntally {

void LimitKeptMemory() {
  constexpr int kKeptBytesMax = 1024 * 1024;
  // Left alone, glibc raises both with the largest block freed, up to 64 MiB that each thread then keeps for ever after
  // one long list.
  mallopt(M_MMAP_THRESHOLD, kKeptBytesMax);
  mallopt(M_TRIM_THRESHOLD, kKeptBytesMax);
  // Of each heap 64 MiB of addresses are reserved: one for each thread would not fit where RLIMIT_AS is 600 MiB.
  constexpr int kHeapsMax = 4;
  if (std::getenv("MALLOC_ARENA_MAX") == nullptr) mallopt(M_ARENA_MAX, kHeapsMax);
}

}  // namespace conntally
