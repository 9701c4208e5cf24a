#include "collectors/system/network_namespace.h"

#include <fcntl.h>
#include <sched.h>

#include "collectors/system/file_descriptor.h"

namespace conntally {

Status EnterNetworkNamespace(const std::string& path) {
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() < 0) return Error::FromErrno("cannot open network namespace " + path, errno);
  if (setns(fd.get(), CLONE_NEWNET) == 0) return Ok();
  // No EPERM, which is taken for a want of CAP_NET_ADMIN.
  if (errno == EPERM) return Error{"cannot enter network namespace " + path + ": it needs CAP_SYS_ADMIN", EACCES};
  return Error::FromErrno("cannot enter network namespace " + path, errno);
}

}  // namespace conntally
