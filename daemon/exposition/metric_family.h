// Writes metric families to one of two targets: the text format (text_writer.h), or prometheus-cpp's model
// (model_writer.h). Not thread-safe.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <prometheus/client_metric.h>
#include <prometheus/metric_type.h>

namespace conntally {

// A label with an empty value is omitted; to Prometheus that is the same.
struct LabelView {
  std::string_view name;
  std::string_view value;
};

// The same with owned strings, to pass on.
using Labels = std::vector<std::pair<std::string, std::string>>;

// Families one after the other, each with its samples. A family without a sample is omitted.
class MetricWriter {
 public:
  using Histogram = prometheus::ClientMetric::Histogram;

  virtual ~MetricWriter() = default;
  virtual void Begin(std::string_view name, std::string_view help, prometheus::MetricType type) = 0;
  virtual void AddSample(std::span<const LabelView> labels, double value) = 0;
  virtual void AddHistogram(const Histogram& histogram) = 0;
};

class MetricFamilyList {
 public:
  explicit MetricFamilyList(MetricWriter& writer) : writer_(writer) {}

  // Adds to the last family begun.
  class Family {
   public:
    explicit Family(MetricWriter& writer) : writer_(writer) {}

    template <typename Number>
    Family& Add(Number value, std::initializer_list<LabelView> labels = {}) {
      writer_.AddSample(labels, static_cast<double>(value));
      return *this;
    }
    template <typename Number>
    Family& Add(Number value, const Labels& labels) {
      std::vector<LabelView> views;
      views.reserve(labels.size());
      for (const auto& [name, of] : labels) views.push_back({name, of});
      writer_.AddSample(views, static_cast<double>(value));
      return *this;
    }
    Family& Add(const MetricWriter::Histogram& histogram) {
      writer_.AddHistogram(histogram);
      return *this;
    }

   private:
    MetricWriter& writer_;
  };

  Family Gauge(std::string_view name, std::string_view help) {
    return Begin(name, help, prometheus::MetricType::Gauge);
  }
  Family Counter(std::string_view name, std::string_view help) {
    return Begin(name, help, prometheus::MetricType::Counter);
  }
  Family Histogram(std::string_view name, std::string_view help) {
    return Begin(name, help, prometheus::MetricType::Histogram);
  }

 private:
  Family Begin(std::string_view name, std::string_view help, prometheus::MetricType type) {
    writer_.Begin(name, help, type);
    return Family(writer_);
  }

  MetricWriter& writer_;
};

}  // namespace conntally
