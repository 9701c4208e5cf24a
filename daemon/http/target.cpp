#include "daemon/http/target.h"

#include <optional>
#include <string>
#include <utility>

namespace conntally::http {
namespace {

enum class Plus { kItself, kSpace };

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> PercentDecode(std::string_view text, Plus plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus == Plus::kSpace) c = ' ';
    if (c == '%') {
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    decoded.push_back(c);
  }
  return decoded;
}

Status ParseQuery(std::string_view query, std::multimap<std::string, std::string>& into) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    auto name = PercentDecode(pair.substr(0, equals), Plus::kSpace);
    auto value = PercentDecode(equals == pair.npos ? "" : pair.substr(equals + 1), Plus::kSpace);
    if (!name || !value) return Error{"bad percent-encoding in the query"};
    if (into.size() == kQueryPairsMax) return Error{"too many query parameters"};
    into.emplace(std::move(*name), std::move(*value));
  }
  return Ok();
}

}  // namespace

Result<Request> ParseTarget(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    const std::size_t path = target.find_first_of("/?", kScheme.size());
    target.remove_prefix(path == target.npos ? target.size() : path);
  }
  const std::size_t question = target.find('?');
  const std::string_view raw_path = target.substr(0, question);
  if (!raw_path.starts_with('/')) return Error{"the request target is no path"};
  auto path = PercentDecode(raw_path, Plus::kItself);
  if (!path) return Error{"bad percent-encoding in the path"};
  Request request{std::move(*path), {}};
  if (question != target.npos) {
    if (Status parsed = ParseQuery(target.substr(question + 1), request.query); !parsed) return parsed.error();
  }
  return request;
}

}  // namespace conntally::http
