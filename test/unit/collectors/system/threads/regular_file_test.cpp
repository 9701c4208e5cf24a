#include "collectors/system/threads/regular_file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "test/support/catch.h"

using namespace conntally;

namespace {

constexpr std::size_t kMax = 100;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "conntally-file-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

std::string WithBytes(const std::string& path, std::size_t bytes) {
  std::ofstream(path) << std::string(bytes, 'x');
  return path;
}

std::string WhyNot(const std::string& path) {
  const auto read = ReadRegularFile(path, kMax);
  return read ? "it is read" : read.error().message;
}

}  // namespace

TEST_CASE("a file is read whole, up to the bound") {
  const TemporaryFolder folder;
  CHECK(ReadRegularFile(WithBytes(folder / "empty", 0), kMax).value().empty());
  CHECK(ReadRegularFile(WithBytes(folder / "full", kMax), kMax).value() == std::string(kMax, 'x'));
  CHECK(WhyNot(WithBytes(folder / "longer", kMax + 1)) == "it is too long; allowed: up to 100 bytes");
  CHECK(ReadRegularFile(WithBytes(folder / "pieces", 200'000), 1 << 20).value().size() == 200'000);
}

TEST_CASE("a file that does not tell its length is read, up to the bound") {
  CHECK(ReadRegularFile("/proc/self/comm", kMax).value().ends_with('\n'));
  CHECK(WhyNot("/proc/self/status") == "it is too long; allowed: up to 100 bytes");
}

TEST_CASE("what is no regular file is refused, and not waited for") {
  const TemporaryFolder folder;
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(WhyNot(folder / "pipe") == "it is a pipe; allowed: a regular file");
  CHECK(WhyNot(folder / ".") == "it is a directory; allowed: a regular file");
  CHECK(WhyNot("/dev/zero") == "it is a device; allowed: a regular file");
  CHECK(WhyNot(folder / "absent") == "No such file or directory");
}

TEST_CASE("the null device is an empty file") {
  CHECK(ReadRegularFile("/dev/null", kMax).value().empty());
  CHECK(WhyNot("/dev/zero") == "it is a device; allowed: a regular file");
}

TEST_CASE("a gigabyte is refused unread") {
  const TemporaryFolder folder;
  REQUIRE(truncate(WithBytes(folder / "huge", 1).c_str(), 1 << 30) == 0);
  CHECK(WhyNot(folder / "huge") == "it is too long; allowed: up to 100 bytes");
}

// fcntl(2): else open(2) waits for lease-break-time, 45 s, for the holder to give it up.
TEST_CASE("a file that is leased is not waited for") {
  const TemporaryFolder folder;
  signal(SIGIO, SIG_IGN);
  const int holder = open(WithBytes(folder / "leased", 1).c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(fcntl(holder, F_SETLEASE, F_WRLCK) == 0);
  CHECK(ReadRegularFile(folder / "leased", kMax).error().code == EWOULDBLOCK);
  close(holder);
  CHECK(ReadRegularFile(folder / "leased", kMax));
}
