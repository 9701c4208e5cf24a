#include <fstream>
#include <set>
#include <sstream>

#include "daemon/alerts/kinds/alert_causes.h"
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

// {cause, what it mutes} of the table "| cause | mutes |".
std::set<std::pair<std::string, std::string>> CausesInList() {
  std::ifstream list(CONNTALLY_LIST_OF_ALERTS);
  std::set<std::pair<std::string, std::string>> causes;
  bool in_table = false;
  for (std::string line; std::getline(list, line);) {
    if (line.starts_with("| cause |")) in_table = true;
    if (!line.starts_with("|")) in_table = false;
    std::vector<std::string> names;
    for (std::size_t begin = line.find('`'); in_table && begin != line.npos;) {
      const std::size_t end = line.find('`', begin + 1);
      names.push_back(line.substr(begin + 1, end - begin - 1));
      begin = line.find('`', end + 1);
    }
    for (std::size_t i = 1; i < names.size(); ++i) causes.emplace(names[0], names[i]);
  }
  return causes;
}

}  // namespace

TEST_CASE("the list of causes is that of the code, and no alert causes itself") {
  std::set<std::pair<std::string, std::string>> causes;
  for (const AlertCause& each : kAlertCauses) {
    CHECK(each.cause != each.effect);
    causes.emplace(NameOf(each.cause), NameOf(each.effect));
  }
  CHECK(CausesInList() == causes);
}

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
