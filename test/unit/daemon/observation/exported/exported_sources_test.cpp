#include "daemon/observation/exported/exported_sources.h"

#include <set>

#include "test/support/catch.h"
#include "test/unit/daemon/observation/exported/filled_tally.h"

using namespace conntally;
using namespace conntally::test;
using namespace std::chrono_literals;

namespace {

const ExportedSources::Clock::time_point kStart{1h};

std::set<std::string> Names(const ExportedSources& exported) {
  std::set<std::string> names;
  for (const auto& one : exported.exported()) names.insert(one.source.ToString());
  return names;
}

using Set = std::set<std::string>;

}  // namespace

TEST_CASE("the first of each ranking are exported, and nobody else") {
  FilledTally filled;
  filled.Open("192.0.2.1", 50);
  filled.Open("192.0.2.2", 40);
  filled.Open("192.0.2.3", 30);
  filled.Open("192.0.2.4", 5, 5);  // first by unreplied
  {
    Tally::View view = filled.View();
    filled.tally.Advance(view, Tally::Time{}, 1s, 1h);
  }
  filled.Open("192.0.2.5", 39);
  const SourceRow gone = filled.Open("192.0.2.6", 90);
  filled.Close(gone, 90);
  {
    Tally::View view = filled.View();
    filled.tally.Advance(view, Tally::Time{}, 1s, 1h);
  }
  ExportedSources exported({.top = 1, .hold = 0s, .exclude = {}});
  exported.Update(filled.View(), {}, kStart);
  // By connections, by unreplied, and by the rate of openings although it holds none any more.
  CHECK(Names(exported) == Set{"192.0.2.1", "192.0.2.4", "192.0.2.6"});
}

TEST_CASE("of equals those seen first are taken, IPv4 and IPv6 alike, and nobody who comes later takes their place") {
  const bool backwards = GENERATE(false, true);
  const auto name = [&](int i) { return "192.0.2." + std::to_string(backwards ? 20 - i : i + 1); };
  FilledTally filled;
  filled.Open("2001:db8::1", 3);
  for (int i = 0; i < 20; ++i) filled.Open(name(i), 3);
  ExportedSources exported({.top = 3, .hold = 0s, .exclude = {}});
  exported.Update(filled.View(), {}, kStart);
  CHECK(Names(exported) == Set{"2001:db8::1", name(0), name(1)});
}

TEST_CASE("a source that left the top keeps its series for a while") {
  FilledTally filled;
  const SourceRow first = filled.Open("192.0.2.1", 10);
  filled.Open("192.0.2.2", 5);
  ExportedSources exported({.top = 1, .hold = 300s, .exclude = {}});
  exported.Update(filled.View(), {}, kStart);
  CHECK(Names(exported) == Set{"192.0.2.1"});
  filled.Close(first, 10);
  exported.Update(filled.View(), {}, kStart + 299s);
  CHECK(Names(exported) == Set{"192.0.2.1", "192.0.2.2"});
  CHECK(exported.Holds(first));
  exported.Update(filled.View(), {}, kStart + 300s);
  CHECK(Names(exported) == Set{"192.0.2.2"});
  CHECK_FALSE(exported.Holds(first));
  CHECK(exported.holds_turned_away() == 0);
}

TEST_CASE("a source that comes back to the top is held anew from there") {
  FilledTally filled;
  const SourceRow first = filled.Open("192.0.2.1", 10);
  filled.Open("192.0.2.2", 5);
  ExportedSources exported({.top = 1, .hold = 300s, .exclude = {}});
  exported.Update(filled.View(), {}, kStart);
  filled.Close(first, 10);
  exported.Update(filled.View(), {}, kStart + 200s);
  filled.Open("192.0.2.1", 10);
  exported.Update(filled.View(), {}, kStart + 250s);
  filled.Close(first, 10);
  exported.Update(filled.View(), {}, kStart + 549s);
  CHECK(exported.Holds(first));
  exported.Update(filled.View(), {}, kStart + 551s);
  CHECK_FALSE(exported.Holds(first));
}

TEST_CASE("as many are held as the rankings are long, the latest of them, and the rest is counted") {
  FilledTally filled;
  ExportedSources exported({.top = 1, .hold = 1h, .exclude = {}});
  for (int i = 1; i <= 10; ++i) {
    filled.Open("192.0.2." + std::to_string(i), 10 * i);  // each passes the one before
    exported.Update(filled.View(), {}, kStart + std::chrono::seconds(i));
  }
  CHECK(Names(exported) == Set{"192.0.2.10", "192.0.2.9", "192.0.2.8", "192.0.2.7", "192.0.2.6", "192.0.2.5"});
  CHECK(exported.holds_turned_away() == 4);
}

TEST_CASE("an excluded source is never exported, and one excluded by a reload is no longer") {
  FilledTally filled;
  filled.Open("192.0.2.1", 10);
  filled.Open("2001:db8::1", 9);
  filled.Open("198.51.100.1", 8);
  ExportedSources exported({.top = 10, .hold = 300s, .exclude = {*Prefix::Parse("192.0.2.0/24")}});
  exported.Update(filled.View(), {}, kStart);
  CHECK(Names(exported) == Set{"2001:db8::1", "198.51.100.1"});
  exported.set_options({.top = 10, .hold = 300s, .exclude = {*Prefix::Parse("2001:db8::/32")}});
  exported.Update(filled.View(), {}, kStart + 1s);
  CHECK(Names(exported) == Set{"192.0.2.1", "198.51.100.1"});
}

TEST_CASE("with a top of none nothing is exported, also when there was something before") {
  FilledTally filled;
  filled.Open("192.0.2.1", 10);
  ExportedSources exported({.top = 10, .hold = 300s, .exclude = {}});
  exported.Update(filled.View(), {}, kStart);
  exported.set_options({.top = 0, .hold = 300s, .exclude = {}});
  exported.Update(filled.View(), {}, kStart + 1s);
  CHECK(exported.exported().empty());
}

TEST_CASE("a source that was forgotten is exported no longer, though its row serves another") {
  FilledTally filled;
  const SourceRow row = filled.Open("192.0.2.1", 1);
  filled.Close(row, 1);
  ExportedSources exported({.top = 10, .hold = 1h, .exclude = {}});
  {
    Tally::View view = filled.View();
    filled.tally.Advance(view, Tally::Time{}, 1s, 1h);
    exported.Update(view, {}, kStart);
    CHECK(exported.Holds(row));
    filled.tally.Advance(view, Tally::Time{} + 2h, 1s, 1h);
    exported.Update(view, {}, kStart + 1s);
  }
  CHECK_FALSE(exported.Holds(row));
}
