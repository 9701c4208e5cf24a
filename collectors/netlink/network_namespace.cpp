#include "collectors/netlink/network_namespace.h"

#include <fcntl.h>
#include <sched.h>

#include "collectors/netlink/file_descriptor.h"

namespace conntally {

Status EnterNetworkNamespace(const std::string& path) {
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() < 0) return Error::FromErrno("cannot open network namespace " + path, errno);
  if (setns(fd.get(), CLONE_NEWNET) < 0) return Error::FromErrno("cannot enter network namespace " + path, errno);
  return Ok();
}

}  // namespace conntally
