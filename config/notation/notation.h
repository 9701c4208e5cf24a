// How conntally writes durations, listen addresses, URLs and names, for the configuration and for the command
// line alike. Pure; any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collectors/system/result.h"

namespace conntally {

// A word of the configuration, and its value. An alias is accepted but not suggested.
template <typename T>
struct Choice {
  std::string_view word;
  T value;
  bool alias = false;
};

template <typename Choices>
auto FindChoice(const Choices& choices, std::string_view word) -> std::optional<decltype(choices.front().value)> {
  for (const auto& choice : choices) {
    if (choice.word == word) return choice.value;
  }
  return std::nullopt;
}

// "debug, info, warning or error"
template <typename Choices>
std::string DescribeChoices(const Choices& choices) {
  std::string words;
  std::string_view last;
  for (const auto& choice : choices) {
    if (choice.alias) continue;
    if (!last.empty()) words.append(words.empty() ? "" : ", ").append(last);
    last = choice.word;
  }
  return words.empty() ? std::string(last) : words.append(" or ").append(last);
}

inline constexpr std::string_view kDurationNotation = "one whole number and a unit, such as 500ms, 30s, 5m or 1h";
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);
// Uses the largest unit without a fraction: "1h", "90s", "500ms", "0s".
std::string FormatDuration(std::chrono::milliseconds duration);

// Whether it is a host name by RFC 1123. Only digits and dots are a mistyped IPv4 address, not a name.
bool IsHostName(std::string_view text);

inline constexpr std::string_view kListenAddressNotation =
    "HOST:PORT, [IPV6]:PORT or :PORT (every address), such as 127.0.0.1:9105 or [::]:9105; port 0 takes a "
    "free one";
struct ListenAddress {
  std::string host;  // without brackets; empty for every address
  std::uint16_t port = 0;
};
Result<ListenAddress> ParseListenAddress(std::string_view text);

inline constexpr std::string_view kUrlNotation = "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]";
// nullopt if `text` is such a URL, else what is wrong with it. User names and queries are refused, since a secret in a
// URL ends up in logs.
std::optional<std::string> FindUrlProblem(std::string_view text);

// Whether it is a Prometheus label name, except the reserved ones (__).
bool IsLabelName(std::string_view text);

// `text` in quotes for a message: on one line, escaped, truncated if long.
std::string Quoted(std::string_view text);

constexpr bool IsControl(char byte) { return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F; }

}  // namespace conntally
