// How many heaps threads share (unless MALLOC_ARENA_MAX says so, mallopt(3)), and how much freed memory each keeps.
// Once, before threads are started.
#pragma once

namespace conntally {

void LimitKeptMemory();

}  // namespace conntally
