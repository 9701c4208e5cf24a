#include "collectors/system/capabilities.h"

#include <cap-ng.h>

namespace conntally {

bool HasCapability(unsigned capability) {
  // The library's state is per thread, and read from the kernel each time.
  return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
}

}  // namespace conntally
