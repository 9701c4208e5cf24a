#include "collectors/system/threads/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <optional>

#include "collectors/system/file_descriptor.h"
#include "collectors/system/threads/guarded.h"
#include "collectors/system/threads/worker_thread.h"

namespace conntally {
namespace {

constexpr std::chrono::seconds kReadWithin{1};
constexpr unsigned kUnfinishedMax = 4;
constexpr std::size_t kPieceBytes = 65'536;

Error Because(int code) { return {std::strerror(code), code}; }

const char* KindOf(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

Status ExpectRegular(const struct stat& status, std::size_t bytes_max) {
  if (!S_ISREG(status.st_mode))
    return Error{std::string("it is ") + KindOf(status.st_mode) + "; allowed: a regular file", EINVAL};
  if (status.st_size > static_cast<off_t>(bytes_max))
    return Error{"it is too long; allowed: up to " + std::to_string(bytes_max) + " bytes", EFBIG};
  return Ok();
}

bool IsNullDevice(const struct stat& status) {
  constexpr unsigned kMajor = 1, kMinor = 3;  // Documentation/admin-guide/devices.txt
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(kMajor, kMinor);
}

Result<std::string> Read(const std::string& path, std::size_t bytes_max) {
  // Checked before opening, since opening alone has effects on some devices, and again after, since the file may have
  // been replaced.
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return Because(errno);
  if (IsNullDevice(status)) return std::string();
  if (auto expected = ExpectRegular(status, bytes_max); !expected) return expected.error();
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file || fstat(file.get(), &status) != 0) return Because(errno);
  if (auto expected = ExpectRegular(status, bytes_max); !expected) return expected.error();

  std::string text;
  for (;;) {
    const std::size_t before = text.size();
    // One byte more than allowed shows that the file is too long.
    text.resize(std::min(before + kPieceBytes, bytes_max + 1));
    const ssize_t count = read(file.get(), text.data() + before, text.size() - before);
    if (count < 0 && errno != EINTR) return Because(errno);
    text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) return text;
    if (text.size() > bytes_max)
      return Error{"it is too long; allowed: up to " + std::to_string(bytes_max) + " bytes", EFBIG};
  }
}

// One reading, which may outlive its caller.
struct Reading {
  Guarded<std::optional<Result<std::string>>> result;
  std::condition_variable done;
};

}  // namespace

Result<std::string> ReadRegularFile(const std::string& path, std::size_t bytes_max) {
  static std::atomic<unsigned> unfinished{0};  // of the whole process; relaxed: only a number
  if (unfinished.load(std::memory_order_relaxed) >= kUnfinishedMax)
    return Error{"the files asked for earlier are still being read", EBUSY};
  const auto reading = std::make_shared<Reading>();
  const auto read = [reading, path, bytes_max] {
    Result<std::string> result = Error{};
    if (const auto ran = Caught([&] { result = Read(path, bytes_max); }); !ran) result = ran.error();
    unfinished.fetch_sub(1, std::memory_order_relaxed);
    *reading->result.Lock() = std::move(result);
    reading->done.notify_all();
  };
  unfinished.fetch_add(1, std::memory_order_relaxed);
  if (const auto started = Caught([&] { StartThread("file", read).detach(); }); !started) {
    unfinished.fetch_sub(1, std::memory_order_relaxed);
    return started.error();
  }
  const auto held = reading->result.Lock();
  if (!reading->done.wait_for(held.lock(), kReadWithin, [&] { return held->has_value(); })) {
    return Error{"reading it takes longer than " + std::to_string(kReadWithin.count()) + " s", ETIMEDOUT};
  }
  return std::move(**held);
}

}  // namespace conntally
