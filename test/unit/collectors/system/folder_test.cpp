#include "collectors/system/folder.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("a folder's names are listed, and why it cannot be") {
  std::string folder = (std::filesystem::temp_directory_path() / "conntally-folder-XXXXXX").string();
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  CHECK(NamesIn(folder)->empty());
  for (const char* name : {"one", ".hidden", "..."}) std::ofstream(folder + "/" + name) << "x";
  auto names = NamesIn(folder);
  REQUIRE(names);
  std::sort(names->begin(), names->end());
  CHECK(*names == std::vector<std::string>{"...", ".hidden", "one"});
  CHECK(NamesIn(folder + "/one").error().code == ENOTDIR);
  std::filesystem::remove_all(folder);
  CHECK(NamesIn(folder).error().code == ENOENT);
}
