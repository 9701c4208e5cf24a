#include "collectors/system/saved_sysctls.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "test/support/catch.h"

using namespace conntally;
namespace fs = std::filesystem;

namespace {

class Root {
 public:
  Root() {
    std::string name = (fs::temp_directory_path() / "conntally-sysctls-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Root() { fs::remove_all(path_); }
  void Write(const std::string& file, const std::string& text) const {
    fs::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("lines of sysctl.d are read as sysctl.d(5) has them") {
  const Root root;
  root.Write("etc/sysctl.d/10-a.conf",
             "# a comment\n; another\n\nnet.ipv4.ip_forward = 1\n-net/ipv4/conf/eth0.7/rp_filter=2\nnonsense\n");
  const auto saved = ReadSavedSysctls(root.path());
  REQUIRE(saved);
  REQUIRE(saved->size() == 2);
  CHECK((*saved)[0].path == "net/ipv4/ip_forward");
  CHECK((*saved)[0].value == "1");
  CHECK((*saved)[0].line == 4);
  CHECK((*saved)[1].path == "net/ipv4/conf/eth0.7/rp_filter");
}

TEST_CASE("files are applied by name, and one in /etc hides its namesakes") {
  const Root root;
  root.Write("usr/lib/sysctl.d/50-x.conf", "net.a.b = lib\n");
  root.Write("etc/sysctl.d/50-x.conf", "net.a.b = etc\n");
  root.Write("run/sysctl.d/40-y.conf", "net.a.b = run\n");
  root.Write("etc/sysctl.conf", "net.a.b = last\n");
  root.Write("etc/sysctl.d/README", "net.a.b = no\n");
  const auto saved = ReadSavedSysctls(root.path());
  REQUIRE(saved);
  std::vector<std::string> values;
  for (const SavedSysctl& each : *saved) values.push_back(each.value);
  CHECK(values == std::vector<std::string>{"run", "etc", "last"});
}

TEST_CASE("no folder at all is no file at all") {
  const Root root;
  const auto saved = ReadSavedSysctls(root.path());
  REQUIRE(saved);
  CHECK(saved->empty());
}

TEST_CASE("dots and slashes in a key, and globs") {
  CHECK(SysctlPath("net.ipv4.conf.eth0/7.rp_filter") == "net/ipv4/conf/eth0.7/rp_filter");
  CHECK(SysctlPath("net/ipv4/conf/eth0.7/rp_filter") == "net/ipv4/conf/eth0.7/rp_filter");
  CHECK(MatchesSysctl("net/ipv4/conf/*/rp_filter", "net/ipv4/conf/eth0/rp_filter"));
  CHECK_FALSE(MatchesSysctl("net/ipv4/conf/*/rp_filter", "net/ipv4/conf/eth0/forwarding"));
}
