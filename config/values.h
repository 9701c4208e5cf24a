// Schemas of the configuration's plain values: each has its notation and range, and names both when it refuses a value.
// Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "collectors/addresses/address.h"
#include "collectors/system/result.h"
#include "config/notation/notation.h"
#include "config/reading.h"

namespace conntally::config {

// A plain value that `convert` parses, or rejects with a reason. `allowed` ends every error.
template <typename T>
Schema<T> Scalar(std::string allowed, std::function<Result<T>(std::string_view)> convert) {
  return {[allowed = std::move(allowed), convert = std::move(convert)](const Node& node, T& into, Reading& reading) {
    if (!reading.ExpectScalar(node, allowed)) return false;
    Result<T> converted = convert(node.text);
    if (converted) {
      into = std::move(*converted);
    } else {
      reading.Fault(node, converted.error().message + "; allowed: " + allowed);
    }
    return static_cast<bool>(converted);
  }};
}

Result<std::uint64_t> ParseInteger(std::string_view text, std::uint64_t low, std::uint64_t high);
std::optional<double> ParseDecimal(std::string_view text);

// Both bounds are included, here and below.
template <typename T>
Schema<T> Integer(T low, T high) {
  static_assert(std::is_unsigned_v<T>);
  const std::string allowed = "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  return Scalar<T>(allowed, [low, high](std::string_view text) -> Result<T> {
    const auto parsed = ParseInteger(text, low, high);
    if (!parsed) return parsed.error();
    return static_cast<T>(parsed.value());
  });
}

// One of the words of `choices`, a constant array of Choice.
template <typename Choices>
auto OneOf(const Choices& choices) {
  using T = std::remove_cvref_t<decltype(choices.front().value)>;
  return Scalar<T>(DescribeChoices(choices), [&choices](std::string_view text) -> Result<T> {
    if (const auto choice = FindChoice(choices, text)) return *choice;
    return Error{Quoted(text) + " is unknown"};
  });
}

Schema<bool> Boolean();
Schema<double> Number(double low, double high);
Schema<double> Ratio();  // above 0, up to 1
Schema<std::chrono::milliseconds> Duration(std::chrono::milliseconds low, std::chrono::milliseconds high);
Schema<Prefix> Cidr();
Schema<std::string> ListenAddressText();
Schema<std::string> HostName();
Schema<std::string> Url();
Schema<std::string> LineOfText(std::size_t bytes_max);  // may be empty
Schema<std::string> FilePath();                         // absolute, or empty for none
// Named networks: prefixes by a name that can be a label value.
Schema<std::map<std::string, std::vector<Prefix>>> NetworksByName(std::size_t names_max, std::size_t prefixes_max);
// Label names and values, except the labels that alerts have themselves.
Schema<std::map<std::string, std::string>> ExternalLabels();

}  // namespace conntally::config
