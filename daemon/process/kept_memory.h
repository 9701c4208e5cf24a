// How many heaps threads share, and how much freed memory each keeps. Once, before threads are started.
#pragma once

namespace conntally {

void LimitKeptMemory();

}  // namespace conntally
