#include "daemon/command_line/check_config.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "test/support/catch.h"

namespace {

struct Outcome {
  int exit_code;
  std::string output;
  std::string errors;
};

Outcome Check(const std::string& path, bool is_explicit = true) {
  std::ostringstream output;
  std::ostringstream errors;
  const int exit_code = conntally::CheckConfig({{path, is_explicit}, std::nullopt}, output, errors);
  return {exit_code, output.str(), errors.str()};
}

}  // namespace

TEST_CASE("check-config says OK, or every fault and its place") {
  std::string path = (std::filesystem::temp_directory_path() / "conntally-check-XXXXXX").string();
  const int descriptor = mkstemp(path.data());
  REQUIRE(descriptor >= 0);
  close(descriptor);

  std::ofstream(path) << "log: {level: debug}\n";
  const Outcome good = Check(path);
  CHECK(good.exit_code == 0);
  CHECK(good.output == "OK\n");
  CHECK(good.errors.empty());

  std::ofstream(path) << "log: {level: loud,\n  format: xml}\n";
  const Outcome bad = Check(path);
  CHECK(bad.exit_code == 1);
  CHECK(bad.output.empty());
  CHECK(bad.errors == path + ":1:14: log.level: \"loud\" is unknown; allowed: debug, info, warning or error\n" + path +
                          ":2:11: log.format: \"xml\" is unknown; allowed: text or json\n");

  std::filesystem::remove(path);
  // As at the start.
  CHECK(Check(path, false).output == "OK: no " + path + ", so the defaults apply\n");
  CHECK(Check(path, false).exit_code == 0);
  CHECK(Check(path).exit_code == 1);
  CHECK(Check(path).errors == path + ":1:1: the file cannot be read: No such file or directory\n");
}
