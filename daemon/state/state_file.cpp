#include "daemon/state/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "collectors/system/file_descriptor.h"
#include "collectors/system/threads/regular_file.h"

namespace conntally {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

Status WriteAll(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Error::FromErrno("cannot write", errno);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return fsync(file) == 0 ? Ok() : Error::FromErrno("cannot write", errno);
}

}  // namespace

Result<std::optional<std::string>> StateFile::Read(std::size_t bytes_max) const {
  auto text = ReadRegularFile(path(), bytes_max);
  if (text) return std::optional(std::move(*text));
  if (text.error().code == ENOENT) return std::optional<std::string>();
  return text.error();
}

Status StateFile::SetAside() const {
  const std::string aside = path() + ".bad";
  if (rename(path().c_str(), aside.c_str()) == 0) return Ok();
  return Error::FromErrno("cannot rename it to " + aside, errno);
}

Status StateFile::Write(std::string_view text) const {
  const std::string beside = path() + ".new";
  if (mkdir(directory_.c_str(), kDirectoryMode) != 0 && errno != EEXIST)
    return Error::FromErrno("cannot make the directory " + directory_, errno);
  unlink(beside.c_str());  // left by a killed daemon
  const FileDescriptor file(open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!file) return Error::FromErrno("cannot create " + beside, errno);
  if (Status written = WriteAll(file.get(), text); !written) {
    unlink(beside.c_str());  // frees room on a full disk
    return Error{written.error().message + " " + beside, written.error().code};
  }
  if (rename(beside.c_str(), path().c_str()) != 0) {
    const int code = errno;
    unlink(beside.c_str());
    return Error::FromErrno("cannot rename " + beside, code);
  }
  const FileDescriptor directory(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) fsync(directory.get());
  return Ok();
}

}  // namespace conntally
