// The flags of conntally(8), against those that the command line takes.
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <vector>

#include "daemon/command_line/grammar/command_line.h"
#include "test/support/catch.h"

using namespace conntally;

namespace {

std::set<std::string> FlagsIn(const std::string& text) {
  const std::regex flag("--[a-z][a-z.-]*[a-z]");
  std::set<std::string> flags;
  for (std::sregex_iterator found(text.begin(), text.end(), flag), end; found != end; ++found)
    flags.insert(found->str());
  return flags;
}

std::string HelpOf(const std::vector<const char*>& arguments) {
  return std::get<PrintAndExit>(ParseCommandLine(arguments)).text;
}

}  // namespace

TEST_CASE("the manual page has every flag, and no other") {
  std::ostringstream page;
  page << std::ifstream(CONNTALLY_MANUAL).rdbuf();
  const std::string unescaped = std::regex_replace(page.str(), std::regex(R"(\\-)"), "-");
  std::string help = HelpOf({"conntally", "--help"});
  for (const char* command : {"check-config", "status", "top", "diagnose"})
    help += HelpOf({"conntally", command, "--help"});
  CHECK(FlagsIn(unescaped) == FlagsIn(help));
}
