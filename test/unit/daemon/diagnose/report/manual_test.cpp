// The findings of conntally(8), against those that there are.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "daemon/diagnose/report/finding_id.h"
#include "test/support/catch.h"

using namespace conntally::diagnose;

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
  for (const auto& [id, word_of_it] : kFindingWords) given.insert(word_of_it);
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
