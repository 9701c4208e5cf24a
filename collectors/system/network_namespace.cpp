#include "collectors/system/network_namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

namespace conntally {
namespace {

struct Entrance {
  FileDescriptor file;
  NetworkNamespaceId id;
};

Result<Entrance> Open(const std::string& path) {
  // Nothing is read: O_NONBLOCK avoids blocking on a FIFO.
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0 && errno == ENOENT) return Error{"there is no network namespace " + path, ENOENT};
  if (file.get() < 0) return Error::FromErrno("cannot open network namespace " + path, errno);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return Error::FromErrno("cannot look at network namespace " + path, errno);
  if (const int type = ioctl(file.get(), NS_GET_NSTYPE); type != CLONE_NEWNET) {
    // `ip netns add` creates an empty file before it mounts the namespace there.
    const bool may_become_one = type < 0 && S_ISREG(status.st_mode) && status.st_size == 0;
    return Error{path + " is not a network namespace", may_become_one ? ENOENT : ENOTTY};
  }
  return Entrance{std::move(file), {status.st_dev, status.st_ino}};
}

Status Enter(const Entrance& entrance, const std::string& path) {
  if (setns(entrance.file.get(), CLONE_NEWNET) == 0) return Ok();
  if (errno == EPERM) return Error{"cannot enter network namespace " + path + ": it needs CAP_SYS_ADMIN", EACCES};
  return Error::FromErrno("cannot enter network namespace " + path, errno);
}

}  // namespace

Result<NetworkNamespaceId> IdentifyNetworkNamespace(const std::string& path) {
  const auto opened = Open(path);
  if (!opened) return opened.error();
  return opened->id;
}

Status CheckNetworkNamespacePath(const std::string& path) {
  const auto opened = Open(path);
  // Callers that retry report a file that we may not open.
  if (opened || opened.error().code == ENOENT || opened.error().code == EACCES) return Ok();
  return opened.error();
}

Status EnterNetworkNamespace(const std::string& path) {
  const auto opened = Open(path);
  if (!opened) return opened.error();
  return Enter(*opened, path);
}

Result<FollowedNamespace::Outcome> FollowedNamespace::Follow() {
  if (path_.empty()) return std::exchange(inside_, true) ? Outcome::kSame : Outcome::kEntered;
  const auto opened = Open(path_);
  if (!opened) {
    const int code = opened.error().code;
    // A temporary shortage in this process says nothing about the namespace.
    if (inside_ && (code == EMFILE || code == ENFILE || code == ENOMEM)) return Outcome::kSame;
    Leave();
    return opened.error();
  }
  if (inside_ && opened->id == id_) return Outcome::kSame;
  if (own_.get() < 0) own_ = FileDescriptor(open(kOwnNetworkNamespace, O_RDONLY | O_CLOEXEC));
  if (const auto entered = Enter(*opened, path_); !entered) {
    Leave();
    return entered.error();
  }
  inside_ = true;
  id_ = opened->id;
  return Outcome::kEntered;
}

void FollowedNamespace::Leave() {
  if (inside_ && own_.get() >= 0) setns(own_.get(), CLONE_NEWNET);
  inside_ = false;
}

}  // namespace conntally
