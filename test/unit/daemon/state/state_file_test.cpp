#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/state/state_file.h"
#include "daemon/state/state_keeper.h"
#include "test/support/catch.h"

using namespace conntally;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "conntally-state-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string state() const { return path + "/state.json"; }
  std::string bad() const { return path + "/state.json.bad"; }
  void Put(const std::string& text) const { std::ofstream(state(), std::ios::binary) << text; }
  std::string path;
};

void SaveIn(const std::string& directory, int value) {
  StateKeeper keeper(directory, "");
  keeper.Save({.alerts = {{"value", value}}, .judge = Json::object()});
  keeper.Stop();
}

}  // namespace

TEST_CASE("what a keeper saves, the next one loads, and only the owner may read it") {
  const Folder folder;
  const std::string inner = folder.path + "/made";
  CHECK_FALSE(StateKeeper(inner, "").Load());
  SaveIn(inner, 7);
  SaveIn(inner, 8);
  const auto state = StateKeeper(inner, "").Load();
  REQUIRE(state);
  CHECK(state->alerts == Json({{"value", 8}}));
  struct stat status {};
  REQUIRE(stat((inner + "/state.json").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(std::distance(fs::directory_iterator(inner), fs::directory_iterator()) == 1);
}

TEST_CASE("without a directory nothing is kept") {
  StateKeeper keeper("", "");
  keeper.Save({});
  keeper.Stop();
  CHECK_FALSE(keeper.Load());
}

TEST_CASE("what is of no use is put aside, whatever it is, and the next one is written") {
  const Folder folder;
  const auto put_aside = [&] {
    CHECK_FALSE(StateKeeper(folder.path, "").Load());
    CHECK(fs::exists(fs::symlink_status(folder.bad())));
    CHECK_FALSE(fs::exists(fs::symlink_status(folder.state())));
    SaveIn(folder.path, 9);
    CHECK(StateKeeper(folder.path, "").Load());
    fs::remove(folder.state());
  };
  SECTION("text") {
    folder.Put("nonsense");
    put_aside();
  }
  SECTION("empty") {
    folder.Put("");
    put_aside();
  }
  SECTION("cut off") {
    SaveIn(folder.path, 1);
    fs::resize_file(folder.state(), fs::file_size(folder.state()) / 2);
    put_aside();
  }
  SECTION("huge") {
    folder.Put("{}");
    fs::resize_file(folder.state(), 1ULL << 40U);  // a hole
    put_aside();
  }
  SECTION("a pipe that nobody writes to") {
    REQUIRE(mkfifo(folder.state().c_str(), 0600) == 0);
    put_aside();
  }
  SECTION("a directory") {
    fs::create_directory(folder.state());
    put_aside();
  }
  SECTION("a device") {
    fs::create_symlink("/dev/zero", folder.state());
    put_aside();
  }
  SECTION("a link that leads to itself") {
    fs::create_symlink(folder.state(), folder.state());
    put_aside();
  }
}

TEST_CASE("what cannot be written leaves the old one, and nothing beside it") {
  const Folder folder;
  SaveIn(folder.path, 1);
  fs::create_directories(folder.state() + ".new/full");
  const Status written = StateFile(folder.path).Write("{}");
  REQUIRE_FALSE(written);
  CHECK(written.error().message.find("cannot create") != std::string::npos);
  CHECK(StateKeeper(folder.path, "").Load());
  CHECK_FALSE(StateFile("/dev/null").Write("{}"));
  CHECK_FALSE(StateFile("/nowhere/at/all").Write("{}"));
}

TEST_CASE("a write that was cut off by a kill is no obstacle") {
  const Folder folder;
  std::ofstream(folder.state() + ".new") << "half of i";
  SaveIn(folder.path, 5);
  CHECK(StateKeeper(folder.path, "").Load()->alerts == Json({{"value", 5}}));
}

TEST_CASE("of many saves in a row the last one is there at the end") {
  const Folder folder;
  StateKeeper keeper(folder.path, "");
  for (int i = 0; i < 500; ++i) keeper.Save({.alerts = {{"value", i}}, .judge = Json::object()});
  keeper.Stop();
  CHECK(StateKeeper(folder.path, "").Load()->alerts == Json({{"value", 499}}));
}
