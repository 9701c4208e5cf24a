#include "daemon/http/encoding/accept_encoding.h"

#include <algorithm>
#include <optional>

namespace conntally::http {
namespace {

std::string_view Trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Removes the text before the next `separator` from the front of `rest`, and returns it.
std::string_view TakeUntil(std::string_view& rest, char separator) {
  const std::string_view taken = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), taken.size() + 1));
  return Trimmed(taken);
}

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
  });
}

// qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
bool WeightIsPositive(std::string_view weight) {
  if (weight.empty() || weight.size() > 5 || (weight[0] != '0' && weight[0] != '1')) return false;
  if (weight.size() > 1 && weight[1] != '.') return false;
  const std::string_view decimals = weight.substr(std::min<std::size_t>(2, weight.size()));
  if (decimals.find_first_not_of("0123456789") != decimals.npos) return false;
  const bool some_decimal = decimals.find_first_not_of('0') != decimals.npos;
  return weight[0] == '1' ? !some_decimal : some_decimal;
}

bool Allowed(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view value = TakeUntil(parameters, ';');
    if (EqualsIgnoringCase(TakeUntil(value, '='), "q")) return WeightIsPositive(Trimmed(value));
  }
  return true;
}

}  // namespace

bool AllowsGzip(std::string_view accept_encoding) {
  std::optional<bool> gzip;
  bool anything = false;
  while (!accept_encoding.empty()) {
    std::string_view parameters = TakeUntil(accept_encoding, ',');
    const std::string_view coding = TakeUntil(parameters, ';');
    if (EqualsIgnoringCase(coding, "gzip") || EqualsIgnoringCase(coding, "x-gzip")) {
      gzip = gzip.value_or(false) || Allowed(parameters);
    } else if (coding == "*") {
      anything = Allowed(parameters);
    }
  }
  return gzip.value_or(anything);
}

}  // namespace conntally::http
