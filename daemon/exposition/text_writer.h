// Writes the text format into one buffer, sample by sample: byte for byte what prometheus-cpp's serializer writes, at a
// fraction of its cost, which matters with hundreds of thousands of series. Not thread-safe.
//
// Format: text 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <string>

#include "daemon/exposition/metric_family.h"

namespace conntally {

class TextWriter final : public MetricWriter {
 public:
  void Begin(std::string_view name, std::string_view help, prometheus::MetricType type) override;
  void AddSample(std::span<const LabelView> labels, double value) override;
  void AddHistogram(const Histogram& histogram) override;

  std::string Take() { return std::move(text_); }

 private:
  void Describe();
  void Write(std::string_view suffix, std::span<const LabelView> labels, double value);
  void WriteLabel(char before, const LabelView& label);
  void WriteNumber(double value);

  std::string text_;
  std::string name_;
  std::string help_;
  prometheus::MetricType type_{};
  bool described_ = false;
};

}  // namespace conntally
