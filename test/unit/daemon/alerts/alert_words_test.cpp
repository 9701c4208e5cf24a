#include <fstream>
#include <set>
#include <sstream>

#include "daemon/alerts/alert.h"
#include "test/support/catch.h"

using namespace conntally;

namespace {

std::set<std::string> NamesInList() {
  std::ifstream list(CONNTALLY_LIST_OF_ALERTS);
  std::set<std::string> names;
  bool in_table = false;
  for (std::string line; std::getline(list, line);) {
    if (line.starts_with("| alert |")) in_table = true;
    if (!line.starts_with("|")) in_table = false;
    const std::size_t end = line.find('`', 3);
    if (in_table && line.starts_with("| `") && end != line.npos) names.insert(line.substr(3, end - 3));
  }
  return names;
}

}  // namespace

TEST_CASE("the list of alerts has every one, and no other") {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kAlertKinds; ++i) names.insert(NameOf(static_cast<AlertKind>(i)));
  CHECK(names.size() == kAlertKinds);
  CHECK(NamesInList() == names);
}

TEST_CASE("every alert has a summary of its own and a section of the runbook") {
  std::set<std::string> summaries;
  for (std::size_t i = 0; i < kAlertKinds; ++i) summaries.insert(SummaryOf(static_cast<AlertKind>(i)));
  CHECK(summaries.size() == kAlertKinds);
  CHECK(RunbookUrl(AlertKind::kDropRuleSpike) ==
        "https://github.com/conntally/conntally/blob/main/config/prometheus/RUNBOOK.md#droprulespike");
}
