// Follows the kernel's log from now on, without old lines. Any process of the machine may make the kernel write lines,
// so the log can be flooded: each call reads up to a bound, and records that the kernel overwrites meanwhile are
// counted.
//
// The log is shared by the whole machine. Log rules write to it for the initial network namespace, and for others only
// if net.netfilter.nf_log_all_netns is 1; their lines do not name the namespace. Full tables are logged for every
// namespace, and only newer kernels name it.
//
// Threads: one owner.
//
// Sources: Documentation/ABI/testing/dev-kmsg.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "collectors/drops/logs/kernel_log_line.h"
#include "collectors/netlink/socket.h"
#include "collectors/system/result.h"

namespace conntally {

class KernelLog {
 public:
  enum class From : std::uint8_t { kNow, kOldest };

  // `path` is "/dev/kmsg". EPERM: kernel.dmesg_restrict requires CAP_SYSLOG.
  static Result<KernelLog> Open(const std::string& path, From from = From::kNow);

  // Readable when there is something to read.
  int fd() const { return fd_.get(); }

  // Visits the kernel's own records, without waiting; reads at most `records_max` records of any origin.
  Status Read(unsigned records_max, const std::function<void(const KernelLogRecord&)>& visit);

  // Records overwritten before they were read.
  std::uint64_t lost() const { return lost_; }

 private:
  explicit KernelLog(FileDescriptor fd) : fd_(std::move(fd)), buffer_(kRecordBytesMax) {}

  static constexpr std::size_t kRecordBytesMax = 8192;  // CONSOLE_EXT_LOG_MAX

  FileDescriptor fd_;
  std::vector<char> buffer_;
  std::optional<std::uint64_t> next_sequence_;
  std::uint64_t lost_ = 0;
};

}  // namespace conntally
