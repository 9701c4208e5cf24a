// Which "table full" lines in the kernel's log are about our table. The log is shared by the whole machine, and every
// namespace has its own table. Newer kernels name the namespace in the line. If they do not, our table's counters
// decide: a line is ours if packets were dropped for lack of room, or entries evicted, within kNear of it. A clash on
// insertion also counts as a drop, and is subtracted (nf_conntrack_core.c, nf_ct_resolve_clash).
//
// Pure except for its memory. Threads: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "collectors/table/table_reader.h"

namespace conntally {

// Lines read since the start.
struct TableFullLineCounts {
  std::uint64_t ours = 0;     // naming our namespace
  std::uint64_t nobodys = 0;  // naming none
};

class TableFullLines {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kNear{3};

  // Call it once a second. `table` is null if it could not be read.
  void Add(Time now, const TableFullLineCounts& lines, const TableStatistics* table);

  // Lines about our table, since the start.
  std::uint64_t total() const { return lines_.ours + confirmed_; }

 private:
  bool Lost(const TableStatistics& table);

  TableFullLineCounts lines_;
  std::optional<TableStatistics> last_table_;
  std::optional<Time> last_loss_;
  std::uint64_t waiting_ = 0;  // lines that may be ours
  Time last_line_{};           // the last of them
  std::uint64_t confirmed_ = 0;
};

}  // namespace conntally
