// What the calling thread may do. Any thread.
#pragma once

namespace conntally {

// `capability` as linux/capability.h numbers them.
bool HasCapability(unsigned capability);

}  // namespace conntally
