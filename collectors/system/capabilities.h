// The calling thread's capabilities. Any thread.
#pragma once

namespace conntally {

// `capability` is a CAP_* of linux/capability.h.
bool HasCapability(unsigned capability);

}  // namespace conntally
