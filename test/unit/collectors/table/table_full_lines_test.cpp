#include "collectors/table/table_full_lines.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

// A host that is looked at once a second.
struct Host {
  Host() { Look(); }
  void Look(int seconds = 1) {
    for (int i = 0; i < seconds; ++i) lines.Add(now += 1s, read, &table);
  }
  void Count(TableCounter which, std::uint64_t by) { table.counters[static_cast<std::size_t>(which)] += by; }

  TableFullLines lines;
  TableFullLineCounts read;
  TableStatistics table;
  TableFullLines::Time now{};
};

}  // namespace

TEST_CASE("a line that names our namespace counts at once") {
  Host host;
  host.read.ours = 3;
  host.Look();
  CHECK(host.lines.total() == 3);
}

TEST_CASE(
    "a line that names no namespace counts when our own table lost something at that time, whichever is seen first") {
  for (const TableCounter loss : {TableCounter::kDrop, TableCounter::kEarlyDrop}) {
    for (const bool line_first : {true, false}) {
      Host host;
      host.Count(loss, 100);
      host.Look(60);
      if (line_first) host.read.nobodys += 2;
      if (!line_first) host.Count(loss, 1);
      host.Look(2);
      CHECK(host.lines.total() == 0);
      if (!line_first) host.read.nobodys += 2;
      if (line_first) host.Count(loss, 1);
      host.Look();
      CHECK(host.lines.total() == 2);
    }
  }
}

TEST_CASE("a line of another namespace's table does not count, whatever ours lost before or after") {
  Host host;
  host.Count(TableCounter::kDrop, 5);
  host.Look(10);
  host.read.nobodys += 10;
  host.Look(10);
  host.Count(TableCounter::kDrop, 5);
  host.Look(10);
  CHECK(host.lines.total() == 0);
}

TEST_CASE("clashes are no sign that a line is ours") {
  Host host;
  for (int i = 0; i < 10; ++i) {
    host.Count(TableCounter::kDrop, 3);
    host.Count(TableCounter::kInsertFailed, 3);
    ++host.read.nobodys;
    host.Look();
  }
  CHECK(host.lines.total() == 0);
  // A chain that is too long fails an insertion, and is no clash.
  host.Count(TableCounter::kDrop, 1);
  host.Count(TableCounter::kInsertFailed, 1);
  host.Count(TableCounter::kChainTooLong, 1);
  host.Look();
  CHECK(host.lines.total() > 0);
}

TEST_CASE("what the table had lost before the first look confirms no line, nor does a table that cannot be read") {
  TableFullLines lines;
  TableStatistics table;
  table.counters[static_cast<std::size_t>(TableCounter::kDrop)] = 9;
  lines.Add(TableFullLines::Time{} + 1s, {}, &table);
  lines.Add(TableFullLines::Time{} + 2s, {.ours = 0, .nobodys = 1}, &table);
  lines.Add(TableFullLines::Time{} + 3s, {.ours = 0, .nobodys = 2}, nullptr);
  CHECK(lines.total() == 0);
}
