#include "collectors/system/capabilities.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace conntally {

bool HasCapability(unsigned capability) {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> held{};
  if (capability / 32 >= held.size()) return false;
  if (syscall(SYS_capget, &header, held.data()) != 0) return false;
  return (held[capability / 32].effective >> (capability % 32) & 1) != 0;
}

}  // namespace conntally
