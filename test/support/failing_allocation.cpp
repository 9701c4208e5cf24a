// A library for LD_PRELOAD: the n-th allocation of the process fails, once.
//   FAILING_ALLOCATION=n             which, from 1 on
//   FAILING_ALLOCATION_COUNT=FILE    how many there were, written when the process ends
// Any thread: one atomic counts.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

extern "C" void* __libc_malloc(size_t);
extern "C" void* __libc_calloc(size_t, size_t);
extern "C" void* __libc_realloc(void*, size_t);
extern "C" void* __libc_memalign(size_t, size_t);

namespace {

std::atomic<unsigned long> allocations{0};

// The first allocations come before getenv is of use: then the C library has not set up its environment yet.
unsigned long Chosen() {
  const char* const text = environ == nullptr ? nullptr : getenv("FAILING_ALLOCATION");
  return text == nullptr ? 0 : strtoul(text, nullptr, 10);
}

bool Fails() {
  static std::atomic<unsigned long> chosen{0};
  if (chosen.load(std::memory_order_relaxed) == 0) chosen.store(Chosen(), std::memory_order_relaxed);
  const unsigned long number = allocations.fetch_add(1, std::memory_order_relaxed) + 1;
  if (number != chosen.load(std::memory_order_relaxed)) return false;
  errno = ENOMEM;
  return true;
}

[[gnu::destructor]] void WriteCount() {
  const char* const path = getenv("FAILING_ALLOCATION_COUNT");
  if (path == nullptr) return;
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return;
  dprintf(file, "%lu\n", allocations.load(std::memory_order_relaxed));
  close(file);
}

}  // namespace

extern "C" {

void* malloc(size_t size) { return Fails() ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return Fails() ? nullptr : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return Fails() ? nullptr : __libc_realloc(old, size); }
void* aligned_alloc(size_t alignment, size_t size) { return Fails() ? nullptr : __libc_memalign(alignment, size); }
void* memalign(size_t alignment, size_t size) { return Fails() ? nullptr : __libc_memalign(alignment, size); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  if (Fails()) return ENOMEM;
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

}  // extern "C"
