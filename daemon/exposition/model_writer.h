// Writes prometheus-cpp's model, the reference for the text. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include <prometheus/metric_family.h>

#include "daemon/exposition/metric_family.h"

namespace conntally {

class ModelWriter final : public MetricWriter {
 public:
  void Begin(std::string_view name, std::string_view help, prometheus::MetricType type) override {
    families_.push_back({std::string(name), std::string(help), type, {}});
  }
  void AddSample(std::span<const LabelView> labels, double value) override {
    prometheus::ClientMetric metric;
    for (const LabelView& label : labels)
      if (!label.value.empty()) metric.label.push_back({std::string(label.name), std::string(label.value)});
    metric.counter.value = metric.gauge.value = value;  // the family's type picks one
    families_.back().metric.push_back(std::move(metric));
  }
  void AddHistogram(const Histogram& histogram) override {
    families_.back().metric.emplace_back().histogram = histogram;
  }

  std::vector<prometheus::MetricFamily> Take() {
    std::erase_if(families_, [](const auto& family) { return family.metric.empty(); });
    return std::move(families_);
  }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace conntally
