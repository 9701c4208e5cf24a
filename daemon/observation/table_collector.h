// The table collector: the kernel's own statistics, fresh for each scrape, and the trend of the table's fill. Its
// counters go on where the path of the network namespace comes to stand for another one. Any thread; a mutex keeps
// callers apart.
#pragma once

#include <array>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "collectors/system/collector.h"
#include "collectors/system/network_namespace.h"
#include "collectors/table/fill_forecast.h"
#include "collectors/table/table_reader.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

class TableCollector : public Collector {
 public:
  explicit TableCollector(std::string network_namespace_path)
      : network_namespace_path_(std::move(network_namespace_path)) {}

  // Once a second, for the trend; `established` are the TCP connections, as far as they are known. What was read;
  // nullopt when nothing could be.
  std::optional<TableStatistics> Sample(std::optional<std::uint64_t> established);

  // As of the last reading.
  void Describe(CollectorReport& report) const override;

  // Reads, and fills in the snapshot's table.
  void FillIn(Snapshot& snapshot);

 private:
  std::optional<TableStatistics> Read();
  Result<TableStatistics> ReadNamespace();

  const std::string network_namespace_path_;
  mutable std::mutex mutex_;
  std::optional<TableReader> reader_;
  NetworkNamespaceId namespace_;                                 // that the reader reads; where none is named, nothing
  std::array<std::uint64_t, kTableCounters> counters_before_{};  // of namespaces before it
  std::array<std::uint64_t, kTableCounters> counters_{};         // the last that were told
  FillForecast forecast_;
  CollectorStatus status_;
};

}  // namespace conntally
