// The findings of conntally(8), against the ids that the code gives.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "test/support/catch.h"

namespace {

std::string ContentOf(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("the manual page lists every finding that there is, and no other") {
  const std::filesystem::path root = CONNTALLY_SOURCE;
  std::set<std::string> given;
  const std::regex id("\"([a-z]+(?:-[a-z]+)+)\"");
  const std::set<std::string> others = {"echo-reply",          "echo-request", "icmp-port-unreachable",
                                        "iptables-legacy",     "iptables-nft", "ip6tables-legacy",
                                        "ip6tables-nft",       "nixos-fw",     "xtables-nft-multi",
                                        "xtables-legacy-multi"};
  for (const auto& entry : std::filesystem::directory_iterator(root / "daemon/diagnose")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string text = ContentOf(entry.path());
    for (std::sregex_iterator found(text.begin(), text.end(), id), end; found != end; ++found) {
      if (!others.contains((*found)[1])) given.insert((*found)[1]);
    }
  }
  const std::string page = ContentOf(root / "systemd/man/conntally.8");
  const std::size_t section = page.find(".SH FINDINGS");
  REQUIRE(section != page.npos);
  std::istringstream lines(page.substr(section, page.find(".SH", section + 1) - section));
  std::set<std::string> listed;
  const std::regex word("[a-z]+(?:-[a-z]+)+");
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(".B")) continue;
    for (std::sregex_iterator found(line.begin(), line.end(), word), end; found != end; ++found)
      listed.insert(found->str());
  }
  CHECK(given == listed);
}
