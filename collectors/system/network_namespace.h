// Network namespaces, by the file that stands for one: /run/netns/NAME or /proc/PID/ns/net. The file may come after us,
// go, and come back as another namespace.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "collectors/system/file_descriptor.h"
#include "collectors/system/result.h"

namespace conntally {

// Which namespace a file stands for. No two that live at the same time are equal, and a socket or a thread in one keeps
// it alive.
struct NetworkNamespaceId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const NetworkNamespaceId&, const NetworkNamespaceId&) = default;
};

inline constexpr const char* kOwnNetworkNamespace = "/proc/thread-self/ns/net";  // of the thread that opens it

// ENOENT: there is none yet, or none any more (a name may come). Any thread.
Result<NetworkNamespaceId> IdentifyNetworkNamespace(const std::string& path);

// An error where `path` can never be watched: it is something, and no network namespace. One that is not there yet is
// fine.
Status CheckNetworkNamespacePath(const std::string& path);

// Moves the calling thread alone into the namespace of `path`. Sockets that it opens from now on, and its
// /proc/sys/net, are that namespace's. Needs CAP_SYS_ADMIN.
Status EnterNetworkNamespace(const std::string& path);

// Keeps a thread in the namespace that a path stands for, whichever that is. Threads: one, always the same.
class FollowedNamespace {
 public:
  // Empty: the process's own, which never changes.
  explicit FollowedNamespace(std::string path) : path_(std::move(path)) {}
  // The thread is back where it was at first.
  ~FollowedNamespace() { Leave(); }
  FollowedNamespace(const FollowedNamespace&) = delete;
  FollowedNamespace& operator=(const FollowedNamespace&) = delete;

  enum class Outcome {
    kSame,
    kEntered,  // the first time, or another than before: whatever was opened before is of no use any more
  };
  // To be called again and again. On an error the thread is back where it was at first, so that a namespace that was
  // deleted can go: the owner closes its sockets there for the same reason.
  Result<Outcome> Follow();

 private:
  void Leave();

  const std::string path_;
  FileDescriptor own_;  // where the thread began
  bool inside_ = false;
  NetworkNamespaceId id_;  // of the last that was entered
};

}  // namespace conntally
