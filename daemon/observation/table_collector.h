// The table collector: the kernel's own statistics, fresh for each scrape, and the trend of the table's fill.
// Any thread; a mutex keeps callers apart.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "collectors/table/growth.h"
#include "collectors/table/table_reader.h"
#include "daemon/observation/snapshot.h"

namespace conntally {

class TableCollector {
 public:
  explicit TableCollector(std::string network_namespace_path) : network_namespace_path_(std::move(network_namespace_path)) {}

  // Once a second, for the trend. What was read; nullopt when nothing could be.
  std::optional<TableStatistics> Sample();

  // As of the last reading.
  CollectorStatus status() const;

  // Fills in the snapshot's table and this collector's status.
  void Describe(Snapshot& snapshot);

 private:
  std::optional<TableStatistics> Read();

  const std::string network_namespace_path_;
  mutable std::mutex mutex_;
  std::optional<TableReader> reader_;
  Growth growth_;
  CollectorStatus status_;
};

}  // namespace conntally
