#include "daemon/api/history_api.h"

#include <optional>

#include "config/notation/address_notation.h"

namespace conntally {

http::Response AnswerHistory(const Observer& observer, const http::Request& request) {
  std::optional<Prefix> source;
  for (const auto& [name, value] : request.query) {
    if (name != "source") return http::ErrorResponse(400, "no parameter '" + name + "'; there is source");
    if (source) return http::ErrorResponse(400, "'source' is given twice");
    const auto prefix = ParsePrefix(value, HostBits::kRefused);
    if (!prefix)
      return http::ErrorResponse(
          400, "source is an address, or a group as /api/v1/sources names it; " + prefix.error().message);
    source = *prefix;
  }
  return {.content_type = http::kJsonContentType,
          .body = source ? observer.HistoryJson(source->address) : observer.HistoryJson()};
}

}  // namespace conntally
