#include "daemon/observation/snapshot/collector_transitions.h"

#include "test/support/catch.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;
using Kind = CollectorTransitions::Kind;

const CollectorStatus kWorks{true, 0, {}};
const CollectorStatus kFails{false, 0, "no permission; needs CAP_NET_ADMIN"};

CollectorTransitions::Time At(std::chrono::seconds seconds) { return CollectorTransitions::Time(1000s) + seconds; }

// The texts of what is told at that second of one collector.
std::vector<std::string> Told(CollectorTransitions& reports, const CollectorStatus& status,
                              std::chrono::seconds second) {
  std::vector<std::string> texts;
  for (const auto& line : reports.Update({{"conntrack", status}}, At(second))) texts.push_back(line.text);
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a failure and its end are told once each, with the reason and how long it was") {
  CollectorTransitions reports;
  CHECK(Told(reports, {false, 0, {}}, 0s) == Texts{});  // before its first round
  CHECK(Told(reports, kFails, 1s) == Texts{"collector conntrack fails: no permission; needs CAP_NET_ADMIN"});
  CHECK(Told(reports, kFails, 2s) == Texts{});
  CHECK(Told(reports, kWorks, 8s) == Texts{"collector conntrack works again, after 7 s"});
  CHECK(Told(reports, kWorks, 9s) == Texts{});
}

TEST_CASE("one that works from the start is not told of, nor one that is off") {
  CollectorTransitions reports;
  CHECK(Told(reports, kWorks, 0s) == Texts{});
  CHECK(reports.Update({{"ebpf", {false, 0, "no BTF", true}}}, At(1s)).empty());
}

TEST_CASE("another reason is told, but not each time that it changes") {
  CollectorTransitions reports;
  const CollectorStatus other{false, 0, "no room"};
  CHECK(Told(reports, kFails, 0s).size() == 1);
  CHECK(Told(reports, other, 1s) == Texts{});
  CHECK(Told(reports, other, 10s) == Texts{"collector conntrack fails: no room"});
  CHECK(Told(reports, kFails, 11s) == Texts{});
  CHECK(Told(reports, kWorks, 12s) == Texts{"collector conntrack works again, after 12 s"});
}

TEST_CASE("one that flaps for an hour fills no log, and is told to work once it has done so for a while") {
  CollectorTransitions reports;
  std::size_t lines = 0;
  std::chrono::seconds second{0};
  for (; second < 1h; ++second) lines += Told(reports, second.count() % 2 == 0 ? kFails : kWorks, second).size();
  CHECK(lines == 3);  // fails, works again, fails
  CHECK(Told(reports, kFails, second++) == Texts{});
  const auto began = second;
  while (second < began + CollectorTransitions::kSteady) CHECK(Told(reports, kWorks, second++) == Texts{});
  CHECK(Told(reports, kWorks, second) ==
        Texts{"collector conntrack works again, after 3599 s in which it failed time and again"});
}

TEST_CASE("a collector that is put away is forgotten") {
  CollectorTransitions reports;
  CHECK(Told(reports, kFails, 0s).size() == 1);
  CHECK(reports.Update({}, At(1s)).empty());
  CHECK(Told(reports, kFails, 2s).size() == 1);
}

}  // namespace conntally
