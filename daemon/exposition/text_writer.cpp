#include "daemon/exposition/text_writer.h"

#include <array>
#include <charconv>
#include <cmath>

namespace conntally {
namespace {

// The digits that prometheus-cpp's serializer writes; a double holds nearly as many.
constexpr int kDigits = 16;
constexpr double kWholeMax = 1e15;  // whole numbers below are written by all their digits

std::string_view NameOf(prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter: return "counter";
    case prometheus::MetricType::Gauge: return "gauge";
    case prometheus::MetricType::Histogram: return "histogram";
    default: return "untyped";
  }
}

}  // namespace

void TextWriter::Begin(std::string_view name, std::string_view help, prometheus::MetricType type) {
  name_ = name;
  help_ = help;
  type_ = type;
  described_ = false;
}

void TextWriter::AddSample(std::span<const LabelView> labels, double value) { Write("", labels, value); }

void TextWriter::AddHistogram(const Histogram& histogram) {
  Write("_count", {}, static_cast<double>(histogram.sample_count));
  Write("_sum", {}, histogram.sample_sum);
  for (const auto& bucket : histogram.bucket) {
    TextWriter bound;
    bound.WriteNumber(bucket.upper_bound);
    const LabelView le{"le", bound.text_};
    Write("_bucket", {&le, 1}, static_cast<double>(bucket.cumulative_count));
  }
}

void TextWriter::Describe() {
  described_ = true;
  for (const std::string_view part : {std::string_view("# HELP "), std::string_view(name_), std::string_view(" "),
                                      std::string_view(help_), std::string_view("\n# TYPE "), std::string_view(name_),
                                      std::string_view(" "), NameOf(type_), std::string_view("\n")})
    text_ += part;
}

void TextWriter::Write(std::string_view suffix, std::span<const LabelView> labels, double value) {
  if (!described_) Describe();
  text_ += name_;
  text_ += suffix;
  char before = '{';
  for (const LabelView& label : labels) {
    if (label.value.empty()) continue;
    WriteLabel(before, label);
    before = ',';
  }
  if (before == ',') text_ += '}';
  text_ += ' ';
  WriteNumber(value);
  text_ += '\n';
}

void TextWriter::WriteLabel(char before, const LabelView& label) {
  text_ += before;
  text_ += label.name;
  text_ += "=\"";
  std::string_view rest = label.value;
  for (std::size_t at = 0; (at = rest.find_first_of("\\\n\"")) != std::string_view::npos; rest.remove_prefix(at + 1)) {
    text_ += rest.substr(0, at);
    text_ += '\\';
    text_ += rest[at] == '\n' ? 'n' : rest[at];
  }
  text_ += rest;
  text_ += '"';
}

void TextWriter::WriteNumber(double value) {
  if (std::isnan(value)) {
    text_ += "Nan";
    return;
  }
  if (std::isinf(value)) {
    text_ += value < 0 ? "-Inf" : "+Inf";
    return;
  }
  std::array<char, 32> digits;
  const bool whole = std::abs(value) < kWholeMax && value == std::trunc(value) && !(value == 0 && std::signbit(value));
  const auto end = whole ? std::to_chars(digits.begin(), digits.end(), static_cast<std::int64_t>(value))
                         : std::to_chars(digits.begin(), digits.end(), value, std::chars_format::general, kDigits);
  text_.append(digits.begin(), end.ptr);
}

}  // namespace conntally
