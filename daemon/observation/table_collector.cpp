#include "daemon/observation/table_collector.h"

#include <cerrno>

namespace conntally {

Result<TableStatistics> TableCollector::ReadNamespace() {
  if (!network_namespace_path_.empty()) {
    const auto found = IdentifyNetworkNamespace(network_namespace_path_);
    if (!found) {
      // Another namespace may get the inode of a deleted one.
      if (found.error().code == ENOENT) namespace_ = {};
      return found.error();
    }
    if (*found != namespace_) {
      reader_.reset();
      counters_before_ = counters_;
      namespace_ = *found;
    }
  }
  if (!reader_) {
    auto opened = TableReader::Open(network_namespace_path_);
    if (!opened) return opened.error();
    reader_ = std::move(*opened);
  }
  auto statistics = reader_->Read();
  if (!statistics) return statistics;
  for (std::size_t i = 0; i < kTableCounters; ++i) {
    std::uint64_t& told = statistics->counters[i];
    told += counters_before_[i];
    if (told < counters_[i]) {  // a new reader does not know earlier wraps
      counters_before_[i] += counters_[i] - told;
      told = counters_[i];
    }
    counters_[i] = told;
  }
  return statistics;
}

// With mutex_ held.
std::optional<TableStatistics> TableCollector::Read() {
  const auto began = std::chrono::steady_clock::now();
  const Result<TableStatistics> statistics = ReadNamespace();
  status_.duration_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  status_.success = static_cast<bool>(statistics);
  if (statistics) {
    status_.failure.clear();
    return *statistics;
  }
  reader_.reset();  // its socket may have the rest of an answer
  status_.failure = "no table statistics: " + statistics.error().message;
  if (statistics.error().code == EPERM) status_.failure += "; needs CAP_NET_ADMIN";
  return std::nullopt;
}

void TableCollector::Describe(CollectorReport& report) const {
  const std::lock_guard lock(mutex_);
  report.statuses["table"] = status_;
}

std::optional<TableStatistics> TableCollector::Sample(std::optional<std::uint64_t> established) {
  const std::lock_guard lock(mutex_);
  auto statistics = Read();
  if (statistics) forecast_.Add(std::chrono::steady_clock::now(), statistics->entries, established);
  return statistics;
}

void TableCollector::FillIn(Snapshot& snapshot) {
  const std::lock_guard lock(mutex_);
  snapshot.table = Read();
  if (snapshot.table) {
    snapshot.table_entries_per_second = forecast_.EntriesPerSecond();
    snapshot.table_seconds_until_full =
        forecast_.SecondsUntilFull(snapshot.table->entries, snapshot.table->limit.value_or(0));
  }
}

}  // namespace conntally
