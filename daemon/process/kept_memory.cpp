#include "daemon/process/kept_memory.h"

#include <malloc.h>

#include <cstdlib>

namespace conntally {

void LimitKeptMemory() {
  constexpr int kKeptBytesMax = 1024 * 1024;
  // By default glibc raises both with the largest freed block, so each thread would keep up to 64 MiB for ever after
  // one long list.
  mallopt(M_MMAP_THRESHOLD, kKeptBytesMax);
  mallopt(M_TRIM_THRESHOLD, kKeptBytesMax);
  // Each heap reserves 64 MiB of address space: one per thread would not fit into an RLIMIT_AS of 600 MiB.
  constexpr int kHeapsMax = 4;
  if (std::getenv("MALLOC_ARENA_MAX") == nullptr) mallopt(M_ARENA_MAX, kHeapsMax);
}

}  // namespace conntally
