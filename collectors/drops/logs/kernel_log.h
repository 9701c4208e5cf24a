// Follows the kernel's log from now on; old lines are not read. Any process of the machine may make the kernel write
// lines, so it can be flooded: reading stops at a bound in each call, and what the kernel overwrites meanwhile is
// counted.
//
// The log is the whole machine's. Netfilter writes there for the initial network namespace, and for others only when
// net.netfilter.nf_log_all_netns is 1; a line does not tell which it is of. Of full tables it is told for every
// namespace, and only newer kernels say which.
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

  // "/dev/kmsg". EPERM without CAP_SYSLOG, where kernel.dmesg_restrict asks for it.
  static Result<KernelLog> Open(const std::string& path, From from = From::kNow);

  // Readable when there is something to read.
  int fd() const { return fd_.get(); }

  // Hands on the kernel's own records, without waiting, up to `records_max` of all.
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
