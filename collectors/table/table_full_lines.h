// Which of the lines "table full" in the kernel's log are of our table. The log is the whole machine's, and every
// namespace has a table of its own. Newer kernels name the namespace in the line. Where they do not, our table's own
// counters decide: such a line is ours when packets were dropped for want of room, or entries evicted, within kNear of
// it. A clash on insertion counts as a drop, too, and is taken off (nf_conntrack_core.c, nf_ct_resolve_clash).
//
// Pure but for its memory. Threads: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "collectors/table/table_reader.h"

namespace conntally {

// Lines that were read since the start.
struct TableFullLineCounts {
  std::uint64_t ours = 0;     // that name our namespace
  std::uint64_t nobodys = 0;  // that name none
};

class TableFullLines {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kNear{3};

  // Once a second. `table`: null when it could not be read.
  void Add(Time now, const TableFullLineCounts& lines, const TableStatistics* table);

  // Lines of our table, since the start.
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
