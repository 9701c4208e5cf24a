// How much freed memory each thread's heap keeps. Once, before threads are started.
#pragma once

namespace conntally {

void LimitKeptMemory();

}  // namespace conntally
