#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "config/document.h"
#include "config/parse.h"
#include "test/support/catch.h"

namespace {

using namespace conntally;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "conntally-config-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_; }

 private:
  std::string path_;
};

std::string OnlyFault(const std::string& path) {
  const auto loaded = LoadConfigFile(path);
  const auto* faults = std::get_if<std::vector<ConfigFault>>(&loaded);
  return faults != nullptr && faults->size() == 1 ? Describe(faults->front(), "FILE") : "no single fault";
}

}  // namespace

TEST_CASE("a file that cannot be read is one fault that says why") {
  const TemporaryFolder folder;
  CHECK(OnlyFault(folder.path() + "/absent.yaml") == "FILE:1:1: the file cannot be read: No such file or directory");
  CHECK(OnlyFault(folder.path()) == "FILE:1:1: the file cannot be read: it is a directory; allowed: a regular file");
}

TEST_CASE("a file is read whole") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/conntally.yaml";
  std::ofstream(path) << std::string(100'000, '#') << "\nlog: {level: error}\n";
  const auto loaded = LoadConfigFile(path);
  REQUIRE(std::holds_alternative<Config>(loaded));
  CHECK(std::get<Config>(loaded).log.level == Config::LogLevel::kError);
}

TEST_CASE("what has no end, or no writer, is refused at once") {
  const TemporaryFolder folder;
  const std::string pipe = folder.path() + "/pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(OnlyFault(pipe) == "FILE:1:1: the file cannot be read: it is a pipe; allowed: a regular file");
  CHECK(OnlyFault("/dev/zero") == "FILE:1:1: the file cannot be read: it is a device; allowed: a regular file");
}
