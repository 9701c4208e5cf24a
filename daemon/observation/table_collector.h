// The table collector: the kernel's own statistics, read at each scrape, and the trend of the table's fill. Its
// counters continue when the network namespace's path refers to another namespace. Any thread; a mutex guards it.
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

  // Call it once a second, for the trend. `established` is the number of established TCP connections, if known. Returns
  // what it read; nullopt if nothing could be read.
  std::optional<TableStatistics> Sample(std::optional<std::uint64_t> established);

  // Reports the last reading.
  void Describe(CollectorReport& report) const override;

  // Reads the statistics into the snapshot.
  void FillIn(Snapshot& snapshot);

 private:
  std::optional<TableStatistics> Read();
  Result<TableStatistics> ReadNamespace();

  const std::string network_namespace_path_;
  mutable std::mutex mutex_;
  std::optional<TableReader> reader_;
  NetworkNamespaceId namespace_;                                 // that the reader reads; unused if none is named
  std::array<std::uint64_t, kTableCounters> counters_before_{};  // of earlier namespaces
  std::array<std::uint64_t, kTableCounters> counters_{};         // as last reported
  FillForecast forecast_;
  CollectorStatus status_;
};

}  // namespace conntally
