// The README's table of findings, against the ids that the code gives.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "test/support/catch.h"

namespace {

std::string ContentOf(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("the README lists every finding that there is, and no other") {
  const std::filesystem::path root = CONNTALLY_SOURCE;
  std::set<std::string> given;
  const std::regex id("\"([a-z]+(?:-[a-z]+)+)\"");
  const std::set<std::string> others = {"echo-reply", "echo-request", "icmp-port-unreachable", "iptables-legacy",      "iptables-nft", "ip6tables-legacy",
                                        "ip6tables-nft",         "nixos-fw",             "xtables-nft-multi", "xtables-legacy-multi"};
  for (const auto& entry : std::filesystem::directory_iterator(root / "daemon/diagnose")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string text = ContentOf(entry.path());
    for (std::sregex_iterator found(text.begin(), text.end(), id), end; found != end; ++found) {
      if (!others.contains((*found)[1])) given.insert((*found)[1]);
    }
  }
  const std::string readme = ContentOf(root / "README.md");
  const std::size_t table = readme.find("| finding | what is wrong |");
  REQUIRE(table != readme.npos);
  const std::string rows = readme.substr(table, readme.find("\n\n", table) - table);
  std::set<std::string> listed;
  const std::regex quoted("`([a-z]+(?:-[a-z]+)+)`");
  for (std::sregex_iterator found(rows.begin(), rows.end(), quoted), end; found != end; ++found) listed.insert((*found)[1]);
  CHECK(given == listed);
}
