// Network namespaces, by the file that stands for one.
#pragma once

#include <string>

#include "collectors/system/result.h"

namespace conntally {

// Moves the calling thread alone into the namespace of `path`: /run/netns/NAME or /proc/PID/ns/net. Sockets that it opens
// from now on, and its /proc/sys/net, are that namespace's. Needs CAP_SYS_ADMIN.
Status EnterNetworkNamespace(const std::string& path);

}  // namespace conntally
