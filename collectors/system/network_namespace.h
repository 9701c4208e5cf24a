// Network namespaces, by file: /run/netns/NAME or /proc/PID/ns/net. The file may appear later, disappear, and come back
// as another namespace.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "collectors/system/file_descriptor.h"
#include "collectors/system/result.h"

namespace conntally {

// Identifies the namespace of a file. Two living namespaces are never equal; a socket or a thread in a namespace keeps
// it alive.
struct NetworkNamespaceId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const NetworkNamespaceId&, const NetworkNamespaceId&) = default;
};

inline constexpr const char* kOwnNetworkNamespace = "/proc/thread-self/ns/net";  // of the thread that opens it

// ENOENT: it does not exist yet, or no longer. Any thread.
Result<NetworkNamespaceId> IdentifyNetworkNamespace(const std::string& path);

// An error if `path` exists and is not a network namespace. It may be missing.
Status CheckNetworkNamespacePath(const std::string& path);

// Moves only the calling thread into the namespace of `path`. Sockets that it opens from now on, and its /proc/sys/net,
// belong to that namespace. Needs CAP_SYS_ADMIN.
Status EnterNetworkNamespace(const std::string& path);

// Keeps a thread in the namespace that a path refers to, also when that changes. Threads: one, always the same.
class FollowedNamespace {
 public:
  // Empty: the process's own namespace, which never changes.
  explicit FollowedNamespace(std::string path) : path_(std::move(path)) {}
  // Returns the thread to its first namespace.
  ~FollowedNamespace() { Leave(); }
  FollowedNamespace(const FollowedNamespace&) = delete;
  FollowedNamespace& operator=(const FollowedNamespace&) = delete;

  enum class Outcome {
    kSame,
    kEntered,  // for the first time, or another than before: descriptors opened before are useless now
  };
  // Call it repeatedly. On an error the thread returns to its first namespace, so that a deleted namespace can be
  // freed; for the same reason the owner must close its sockets there.
  Result<Outcome> Follow();

 private:
  void Leave();

  const std::string path_;
  FileDescriptor own_;  // the thread's first namespace
  bool inside_ = false;
  NetworkNamespaceId id_;  // of the last one entered
};

}  // namespace conntally
