#include "collectors/drops/logs/kernel_log.h"

#include <fcntl.h>
#include <unistd.h>

namespace conntally {

Result<KernelLog> KernelLog::Open(const std::string& path, From from) {
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() < 0) {
    Error error = Error::FromErrno("cannot open " + path, errno);
    if (error.code == EPERM || error.code == EACCES)
      error.message += ": needs CAP_SYSLOG, and the right to read the file";
    if (error.code == ENOENT)
      error.message += ": it is hidden from here (PrivateDevices=, a container), and reading it needs CAP_SYSLOG";
    return error;
  }
  if (lseek(fd.get(), 0, from == From::kNow ? SEEK_END : SEEK_SET) < 0) {
    return Error::FromErrno("cannot go to the place to read from in " + path, errno);
  }
  return KernelLog(std::move(fd));
}

Status KernelLog::Read(unsigned records_max, const std::function<void(const KernelLogRecord&)>& visit) {
  for (unsigned i = 0; i < records_max; ++i) {
    const ssize_t bytes = read(fd_.get(), buffer_.data(), buffer_.size());
    if (bytes < 0) {
      if (errno == EAGAIN) return Ok();
      // EPIPE: records were overwritten, and the next read begins after them; the sequence numbers show how many.
      if (errno == EINTR || errno == EPIPE) continue;
      return Error::FromErrno("cannot read the kernel's log", errno);
    }
    if (bytes == 0) return Error{"the kernel's log ended", EIO};
    const auto record = ParseKernelLogRecord({buffer_.data(), static_cast<std::size_t>(bytes)});
    if (!record) continue;
    if (next_sequence_ && record->sequence > *next_sequence_) lost_ += record->sequence - *next_sequence_;
    next_sequence_ = record->sequence + 1;
    if (record->from_kernel) visit(*record);
  }
  return Ok();
}

}  // namespace conntally
