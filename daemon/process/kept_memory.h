// Sets how many heaps the threads share (unless MALLOC_ARENA_MAX does, mallopt(3)), and how much freed memory each heap
// keeps. Call it once, before threads start.
#pragma once

namespace conntally {

void LimitKeptMemory();

}  // namespace conntally
