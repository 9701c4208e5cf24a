#include "collectors/table/table_full_lines.h"

#include <utility>

namespace conntally {

// Whether anything was lost for lack of room since the last call.
bool TableFullLines::Lost(const TableStatistics& table) {
  const TableStatistics before = std::exchange(last_table_, table).value_or(table);
  const auto rise = [&](TableCounter which) { return table.counter(which) - before.counter(which); };
  // A chain that is too long makes an insertion fail without a drop.
  const std::uint64_t failed = rise(TableCounter::kInsertFailed), too_long = rise(TableCounter::kChainTooLong);
  const std::uint64_t clashes = failed > too_long ? failed - too_long : 0;
  return rise(TableCounter::kDrop) > clashes || rise(TableCounter::kEarlyDrop) > 0;
}

void TableFullLines::Add(Time now, const TableFullLineCounts& lines, const TableStatistics* table) {
  if (lines.nobodys > lines_.nobodys) {
    waiting_ += lines.nobodys - lines_.nobodys;
    last_line_ = now;
  }
  lines_ = lines;
  if (table != nullptr && Lost(*table)) last_loss_ = now;
  if (waiting_ == 0) return;
  const bool ours = last_loss_ && now - *last_loss_ <= kNear;
  if (ours) confirmed_ += waiting_;
  if (ours || now - last_line_ > kNear) waiting_ = 0;
}

}  // namespace conntally
