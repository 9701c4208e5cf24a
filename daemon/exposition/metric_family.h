// A few words to write metric families with. Pure; any thread.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

namespace conntally {

using Label = prometheus::ClientMetric::Label;
using Labels = std::vector<Label>;  // one with an empty value is left out, as Prometheus means it

// Collects families; a reference handed out holds until the next family is begun.
class MetricFamilyList {
 public:
  class Family {
   public:
    explicit Family(prometheus::MetricFamily& family) : family_(family) {}

    template <typename Number>
    Family& Add(Number value, Labels labels = {}) {
      prometheus::ClientMetric metric;
      std::erase_if(labels, [](const Label& label) { return label.value.empty(); });
      metric.label = std::move(labels);
      metric.counter.value = metric.gauge.value = static_cast<double>(value);  // the family's type picks one
      family_.metric.push_back(std::move(metric));
      return *this;
    }
    Family& Add(prometheus::ClientMetric::Histogram histogram) {
      prometheus::ClientMetric metric;
      metric.histogram = std::move(histogram);
      family_.metric.push_back(std::move(metric));
      return *this;
    }

   private:
    prometheus::MetricFamily& family_;
  };

  Family Gauge(std::string name, std::string help) {
    return Begin(std::move(name), std::move(help), prometheus::MetricType::Gauge);
  }
  Family Counter(std::string name, std::string help) {
    return Begin(std::move(name), std::move(help), prometheus::MetricType::Counter);
  }
  Family Histogram(std::string name, std::string help) {
    return Begin(std::move(name), std::move(help), prometheus::MetricType::Histogram);
  }

  // Families without a sample are left out.
  std::vector<prometheus::MetricFamily> Take() {
    std::erase_if(families_, [](const prometheus::MetricFamily& family) { return family.metric.empty(); });
    return std::move(families_);
  }

 private:
  Family Begin(std::string name, std::string help, prometheus::MetricType type) {
    families_.push_back({std::move(name), std::move(help), type, {}});
    return Family(families_.back());
  }

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace conntally
