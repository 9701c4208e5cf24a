// The Prometheus exposition: a snapshot as metric families. Pure functions; any thread.
//
// Format: text 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <string>

#include "daemon/exposition/metric_family.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

inline constexpr const char* kExpositionContentType = "text/plain; version=0.0.4; charset=utf-8";

// Writes all metrics: those named here and in *_exposition.cpp, and the collectors' own figures.
void WriteMetrics(const Snapshot& snapshot, MetricWriter& writer);

// As text.
std::string Exposition(const Snapshot& snapshot);

}  // namespace conntally
