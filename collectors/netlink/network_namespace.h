// Network namespaces by name or path.
#pragma once

#include <string>

#include "collectors/netlink/result.h"

namespace conntally {

// Moves the calling thread alone into the namespace `name_or_path`: a name under /run/netns, or a path such as
// /proc/PID/ns/net. Sockets that it opens from now on, and its /proc/sys/net, are that namespace's. Needs CAP_SYS_ADMIN.
Status EnterNetworkNamespace(const std::string& name_or_path);

}  // namespace conntally
