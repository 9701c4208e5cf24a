// Who newly gets series, and how many in an hour.
#include <set>

#include "daemon/observation/exported/exported_sources.h"
#include "test/support/catch.h"
#include "test/unit/daemon/observation/exported/filled_tally.h"

using namespace conntally;
using namespace conntally::test;
using namespace std::chrono_literals;

namespace {

using Class = SeriesBudget::Class;

const SeriesBudget::Clock::time_point kStart{1h};

// How many of the class the budget allows from one moment to another, asked for without end.
int Taken(SeriesBudget& budget, Class of, SeriesBudget::Clock::time_point from, SeriesBudget::Clock::time_point to) {
  int taken = 0;
  for (auto now = from; now <= to; now += 1s) {
    budget.Advance(now);
    while (budget.Take(of, true)) ++taken;
  }
  return taken;
}

std::set<std::string> Names(const ExportedSources& exported) {
  std::set<std::string> names;
  for (const auto& one : exported.exported()) names.insert(one.source.ToString());
  return names;
}

std::string Forged(int i) { return "203.0." + std::to_string(i / 250) + "." + std::to_string(i % 250); }

}  // namespace

TEST_CASE("no hour sees more new sources than the budget, however they are classed") {
  SeriesBudget budget(600);
  const Class of = GENERATE(Class::kProven, Class::kHeavy, Class::kOther);
  CHECK(Taken(budget, of, kStart, kStart) == 300);
  CHECK(Taken(budget, of, kStart + 1s, kStart + 1h) <= 300);
  CHECK(Taken(budget, of, kStart + 9h, kStart + 10h) <= 600);
}

TEST_CASE("what the others use up leaves a share for heavy and one for proven sources") {
  SeriesBudget budget(600);
  CHECK(Taken(budget, Class::kOther, kStart, kStart + 2h) <= 300 + 2 * 38 + 1);
  CHECK(Taken(budget, Class::kHeavy, kStart + 2h, kStart + 2h) >= 75);
  CHECK(Taken(budget, Class::kProven, kStart + 2h, kStart + 2h) >= 112);
}

TEST_CASE("what the start does not use is gone after it") {
  SeriesBudget budget(600);
  budget.Advance(kStart);
  CHECK(budget.Take(Class::kOther, true));
  CHECK(Taken(budget, Class::kOther, kStart + 2h, kStart + 2h) <= 38);
}

TEST_CASE("forged sources that come and go get few series, and a proven one beside them its own within two looks") {
  Tally tally(100'000, KeyedHash(KeyedHash::Secret{5}));
  TallyWriter& writer = tally.AddWriter();
  const auto open = [&](const std::string& source, int connections, Proof proof) {
    TallyWriter::Batch batch(writer);
    const IpAddress address = IpAddress::Parse(source).value();
    SourceRow row = kNoSourceRow;
    for (int i = 0; i < connections; ++i) {
      row = batch.Acquire(address, writer.Hash(address));
      batch.AddSource(row, {.connections = 1, .unreplied = proof == Proof::kProven ? 0 : 1, .opened = 1});
      batch.AddConnections(FlowStateIndex::Other(17, false), 1);
    }
    batch.NoteProof(row, proof);
  };
  ExportedSources exported({.top = 50, .hold = 300s, .exclude = {}, .new_max_per_hour = 60});
  auto now = kStart;
  std::set<std::string> ever;
  const auto look = [&] {
    now += 1s;
    Tally::View view =
        tally.Take(Tally::Time(std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch())));
    tally.Advance(view, Tally::Time{}, 1s, 1h);
    exported.Update(view, {}, now);
    ever.merge(Names(exported));
  };
  for (int i = 0; i < 6000; ++i) {
    open(Forged(i), 30, Proof::kUnanswered);
    if (i % 60 == 59) look();
  }
  CHECK(ever.size() <= 35);
  CHECK(exported.held_back() > 0);
  now += 10min;
  open("192.0.2.1", 3, Proof::kProven);
  look();
  look();
  look();
  CHECK(Names(exported).contains("192.0.2.1"));
}

TEST_CASE("once the start's budget is spent a source must hold its place") {
  FilledTally filled;
  ExportedSources exported({.top = 10, .hold = 0s, .exclude = {}, .new_max_per_hour = 16});
  exported.Update(filled.View(), {}, kStart);
  filled.Open("192.0.2.1", 10);
  const auto late = kStart + 30min;
  exported.Update(filled.View(), {}, late);
  CHECK(Names(exported).empty());
  CHECK(exported.waiting() == 1);
  CHECK(exported.held_back() == 0);
  exported.Update(filled.View(), {}, late + 1s);
  CHECK(Names(exported) == std::set<std::string>{"192.0.2.1"});
  CHECK(exported.waiting() == 0);
}
