#include "daemon/http/server/sockets/descriptor_limit.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>

namespace conntally::http {
namespace {

// Netlink sockets, eBPF maps and links, /proc files, the log.
constexpr rlim_t kOtherDescriptors = 256;

}  // namespace

unsigned FitDescriptorLimit(unsigned connections_max) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections_max;
  const rlim_t needed = connections_max + kOtherDescriptors;
  if (limit.rlim_cur >= needed) return connections_max;
  const rlimit raised{std::min(limit.rlim_max, needed), limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  if (limit.rlim_cur >= needed) return connections_max;
  const rlim_t spare = limit.rlim_cur > 2 * kOtherDescriptors ? limit.rlim_cur - kOtherDescriptors : limit.rlim_cur / 2;
  const auto fitting = static_cast<unsigned>(spare);
  spdlog::warn("HTTP connections limited to {} instead of {}: the process may open {} files (RLIMIT_NOFILE)", fitting,
               connections_max, limit.rlim_cur);
  return fitting;
}

}  // namespace conntally::http
