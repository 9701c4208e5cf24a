#include "collectors/rules/text/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "collectors/netlink/socket.h"

namespace conntally {
namespace {

std::string Find(const std::string& program) {
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"}) {
    if (access((folder + program).c_str(), X_OK) == 0) return folder + program;
  }
  return {};
}

Result<pid_t> Spawn(const std::string& path, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;  // the daemon blocks and ignores signals
  sigemptyset(&none);
  sigfillset(&defaults);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string name = path, locale = "LC_ALL=C", folders = "PATH=/usr/sbin:/sbin:/usr/bin:/bin";
  const std::array<char*, 2> arguments = {name.data(), nullptr};
  const std::array<char*, 3> environment = {locale.data(), folders.data(), nullptr};
  pid_t pid = -1;
  const int code = posix_spawn(&pid, path.c_str(), &actions, &attributes, arguments.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return Error::FromErrno("cannot run " + path, code);
  return pid;
}

// Reads to the end of the output. An error says why it stopped.
Status ReadAll(int fd, const OutputBounds& bounds, std::string& output) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + bounds.patience;
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return Error{"it took too long", ETIMEDOUT};
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(left.count())) <= 0) continue;
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count == 0) return Ok();
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::FromErrno("cannot read its output", errno);
    if (output.size() + static_cast<std::size_t>(count) > bounds.bytes_max) return Error{"it printed too much", EFBIG};
    output.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

Result<std::string> OutputOf(const std::string& program, const OutputBounds& bounds) {
  const std::string path = Find(program);
  if (path.empty()) return Error{"there is no " + program, ENOENT};
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) < 0) return Error::FromErrno("cannot make a pipe", errno);
  const FileDescriptor reading(ends[0]);
  FileDescriptor writing(ends[1]);
  const auto pid = Spawn(path, writing.get());
  if (!pid) return pid.error();
  writing = FileDescriptor();  // so that the end of file is seen
  std::string output;
  const Status all = ReadAll(reading.get(), bounds, output);
  if (!all) kill(*pid, SIGKILL);
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!all) return Error{program + ": " + all.error().message, all.error().code};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Error{program + " failed with exit code " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : 128),
                 EPROTO};
  }
  return output;
}

}  // namespace conntally
