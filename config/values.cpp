#include "config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "config/notation/address_notation.h"

namespace conntally::config {
namespace {

using std::chrono::milliseconds;

// YAML 1.1 has three pairs of words for booleans; YAML 1.2 kept the first, also capitalised, as Python writes it.
constexpr std::array kBooleans = {
    Choice<bool>{"true", true},         Choice<bool>{"false", false},     Choice<bool>{"on", true, true},
    Choice<bool>{"off", false, true},   Choice<bool>{"yes", true, true},  Choice<bool>{"no", false, true},
    Choice<bool>{"True", true, true},   Choice<bool>{"TRUE", true, true}, Choice<bool>{"False", false, true},
    Choice<bool>{"FALSE", false, true},
};

constexpr std::size_t kExternalLabelsMax = 64;
constexpr std::size_t kLabelValueBytesMax = 1024;
constexpr std::size_t kNetworkNameBytesMax = 64;
constexpr std::array<std::string_view, 5> kLabelsOfAlerts = {"alertname", "alert", "severity", "source", "rule"};

bool AreDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string FormatDecimal(double value) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::string(text.data(), end) : std::to_string(value);
}

std::optional<std::string> FindLabelProblem(const Node& key) {
  const auto is_ours = std::find(kLabelsOfAlerts.begin(), kLabelsOfAlerts.end(), key.text) != kLabelsOfAlerts.end();
  if (is_ours) return "is a label that every alert has already; allowed: any other";
  if (key.kind == Node::Kind::kScalar && IsLabelName(key.text)) return std::nullopt;
  return "not a label name; allowed: letters, digits and _, no digit first, no __ first";
}

bool ReadLabelValue(const Node& node, std::string& into, Reading& reading) {
  const std::string allowed = "a text of up to " + std::to_string(kLabelValueBytesMax) + " bytes on one line";
  if (!reading.ExpectScalar(node, allowed)) return false;
  // An escape in double quotes can produce a control character that is not in the file itself.
  const bool fits =
      node.text.size() <= kLabelValueBytesMax && std::none_of(node.text.begin(), node.text.end(), IsControl);
  if (!fits) reading.Fault(node, Quoted(node.text) + " is too long or has control characters; allowed: " + allowed);
  into = node.text;
  return fits;
}

bool ReadLabels(const Node& node, std::map<std::string, std::string>& into, Reading& reading) {
  if (!reading.ExpectMap(node)) return false;
  if (node.items.size() > kExternalLabelsMax) {
    reading.Fault(node,
                  std::to_string(node.items.size()) + " labels; allowed: up to " + std::to_string(kExternalLabelsMax));
    return false;
  }
  bool fits = true;
  into.clear();
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Node& key = node.keys[i];
    const Reading::Inside inside(reading, IsLabelName(key.text) ? key.text : Quoted(key.text));
    auto problem = FindLabelProblem(key);
    if (!problem && into.contains(key.text)) problem = "given twice; allowed: once";
    if (problem) reading.Fault(key, *problem);
    fits = !problem && fits;
    if (!problem) fits = ReadLabelValue(node.items[i], into[key.text], reading) && fits;
  }
  return fits;
}

std::optional<std::string> FindNetworkNameProblem(const Node& key) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (key.kind != Node::Kind::kScalar || key.text.empty() || key.text.size() > kNetworkNameBytesMax ||
      key.text.find_first_not_of(kAllowed) != key.text.npos) {
    return "not a name of a network; allowed: 1 to " + std::to_string(kNetworkNameBytesMax) +
           " letters, digits, and . _ -";
  }
  if (key.text == "other") return "is what all addresses are in that no network has; allowed: any other name";
  return std::nullopt;
}

// The network that has a prefix, and its line.
using NetworkOfPrefix = std::map<Prefix, std::pair<std::string, std::size_t>>;

// Records `prefixes`, which `list` gives to `name`.
bool NotePrefixes(const Node& list, const std::string& name, const std::vector<Prefix>& prefixes,
                  NetworkOfPrefix& networks, Reading& reading) {
  bool fits = true;
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    const Node& item = list.items[i];
    const auto [first, is_new] = networks.try_emplace(prefixes[i], name, item.place.line);
    if (is_new) continue;
    const Reading::Inside inside(reading, i);
    reading.Fault(item, prefixes[i].ToString() + " is in " + first->second.first + " already, on line " +
                            std::to_string(first->second.second) + "; allowed: one network for a prefix");
    fits = false;
  }
  return fits;
}

bool ReadNetworks(const Node& node, std::map<std::string, std::vector<Prefix>>& into, std::size_t names_max,
                  const Schema<std::vector<Prefix>>& prefixes, Reading& reading) {
  if (!reading.ExpectMap(node)) return false;
  if (node.items.size() > names_max) {
    reading.Fault(node, std::to_string(node.items.size()) + " names; allowed: up to " + std::to_string(names_max));
    return false;
  }
  bool fits = true;
  NetworkOfPrefix networks;
  into.clear();
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Node& key = node.keys[i];
    auto problem = FindNetworkNameProblem(key);
    const Reading::Inside inside(reading, problem ? Quoted(key.text) : key.text);
    if (!problem && into.contains(key.text)) problem = "given twice; allowed: once";
    if (problem) reading.Fault(key, *problem);
    std::vector<Prefix> read;
    const bool fitting = prefixes.read(node.items[i], read, reading) && !problem;
    fits = fitting && NotePrefixes(node.items[i], key.text, read, networks, reading) && fits;
    if (fitting) into[key.text] = std::move(read);
  }
  return fits;
}

}  // namespace

// from_chars would also accept "inf", "nan" and a number with trailing text.
std::optional<double> ParseDecimal(std::string_view text) {
  double value = 0;
  if (text.find_first_not_of("0123456789.eE+-") != text.npos) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

Result<std::uint64_t> ParseInteger(std::string_view text, std::uint64_t low, std::uint64_t high) {
  if (text.size() > 1 && text.front() == '-' && AreDigits(text.substr(1))) return Error{Quoted(text) + " is negative"};
  // A leading zero means octal to some YAML readers, and nothing to others.
  if (!AreDigits(text) || (text.size() > 1 && text.front() == '0'))
    return Error{Quoted(text) + " is not a whole number"};
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < low || value > high) return Error{Quoted(text) + " is out of range"};
  return value;
}

Schema<bool> Boolean() { return OneOf(kBooleans); }

Schema<double> Number(double low, double high) {
  return Scalar<double>("a number from " + FormatDecimal(low) + " to " + FormatDecimal(high),
                        [low, high](std::string_view text) -> Result<double> {
                          const auto value = ParseDecimal(text);
                          if (!value) return Error{Quoted(text) + " is not a number"};
                          if (*value < low || *value > high) return Error{Quoted(text) + " is out of range"};
                          return *value;
                        });
}

Schema<double> Ratio() {
  return Scalar<double>("a ratio above 0, up to 1", [](std::string_view text) -> Result<double> {
    const auto value = ParseDecimal(text);
    if (!value) return Error{Quoted(text) + " is not a number"};
    if (*value <= 0 || *value > 1) return Error{Quoted(text) + " is out of range"};
    return *value;
  });
}

Schema<milliseconds> Duration(milliseconds low, milliseconds high) {
  const std::string allowed =
      std::string(kDurationNotation) + ", from " + FormatDuration(low) + " to " + FormatDuration(high);
  return Scalar<milliseconds>(allowed, [low, high](std::string_view text) -> Result<milliseconds> {
    auto duration = ParseDuration(text);
    if (duration && (*duration < low || *duration > high)) return Error{Quoted(text) + " is out of range"};
    return duration;
  });
}

Schema<Prefix> Cidr() {
  return Scalar<Prefix>("an IPv4 or IPv6 prefix, such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7",
                        [](std::string_view text) { return ParsePrefix(text, HostBits::kRefused); });
}

Schema<std::string> ListenAddressText() {
  return Scalar<std::string>(std::string(kListenAddressNotation), [](std::string_view text) -> Result<std::string> {
    const auto parsed = ParseListenAddress(text);
    if (!parsed) return parsed.error();
    return std::string(text);
  });
}

Schema<std::string> HostName() {
  return Scalar<std::string>("a host name without a port, such as monitoring.example.com",
                             [](std::string_view text) -> Result<std::string> {
                               if (!IsHostName(text)) return Error{Quoted(text) + " is not a host name"};
                               return std::string(text);
                             });
}

Schema<std::string> Url() {
  return Scalar<std::string>(std::string(kUrlNotation), [](std::string_view text) -> Result<std::string> {
    if (auto problem = FindUrlProblem(text)) return Error{*std::move(problem)};
    return std::string(text);
  });
}

Schema<std::string> LineOfText(std::size_t bytes_max) {
  const std::string allowed = "a text of up to " + std::to_string(bytes_max) + " bytes on one line";
  return Scalar<std::string>(allowed, [bytes_max](std::string_view text) -> Result<std::string> {
    if (text.size() > bytes_max || std::any_of(text.begin(), text.end(), IsControl)) {
      return Error{Quoted(text) + " is too long or has control characters"};
    }
    return std::string(text);
  });
}

Schema<std::string> FilePath() {
  return Scalar<std::string>("an absolute path, or \"\" for none", [](std::string_view text) -> Result<std::string> {
    if (!text.empty() && (text.front() != '/' || std::any_of(text.begin(), text.end(), IsControl))) {
      return Error{Quoted(text) + " is not an absolute path"};
    }
    return std::string(text);
  });
}

Schema<std::map<std::string, std::string>> ExternalLabels() { return {ReadLabels}; }

Schema<std::map<std::string, std::vector<Prefix>>> NetworksByName(std::size_t names_max, std::size_t prefixes_max) {
  const auto text = [](const Prefix& prefix) { return prefix.ToString(); };
  return {[names_max, prefixes = List<Prefix>(Cidr(), prefixes_max, text)](
              const Node& node, std::map<std::string, std::vector<Prefix>>& into, Reading& reading) {
    return ReadNetworks(node, into, names_max, prefixes, reading);
  }};
}

}  // namespace conntally::config
