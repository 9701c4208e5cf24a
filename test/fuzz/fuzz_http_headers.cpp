// What a client writes and we parse ourselves (the request target with its query, Accept-Encoding, Host), a whole head
// of it, and the listen address.
//
//   build/fuzz/test/fuzz/fuzz_http_headers -dict=test/fuzz/http_headers.dict WORK_FOLDER test/fuzz/corpus/http_headers
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/api/sources/sources_query.h"
#include "daemon/api/values/query_values.h"
#include "daemon/http/encoding/accept_encoding.h"
#include "daemon/http/server/request_head.h"
#include "daemon/http/server/sockets/listen.h"
#include "daemon/http/target.h"

namespace {

using namespace conntally::http;

void Query(std::string_view target) {
  const auto request = ParseTarget(target);
  if (!request) return;
  if (!request->path.starts_with('/') || request->path.find('\0') != std::string::npos) std::abort();
  if (request->query.size() > kQueryPairsMax) std::abort();
  const auto query = conntally::ParseSourcesQuery(*request);
  if (query && (query->limit < 1 || query->limit > conntally::kLimitMax)) std::abort();
}

// As libmicrohttpd hands it over: the request line, then a field a line.
void Head(std::string_view text) {
  RequestHead head;
  head.by_loopback = true;
  const auto line = [&] {
    const std::string_view first = text.substr(0, text.find("\r\n"));
    text.remove_prefix(std::min(text.size(), first.size() + 2));
    return first;
  };
  const std::string_view request = line();
  const std::size_t space = request.find(' '), last = request.rfind(' ');
  if (space == last) return;
  head.target = request.substr(space + 1, last - space - 1);
  head.version = request.substr(last + 1);
  while (!text.empty()) {
    const std::string_view field = line();
    const std::size_t colon = std::min(field.find(':'), field.size());
    head.fields.emplace_back(field.substr(0, colon), field.substr(std::min(field.size(), colon + 1)));
  }
  if (const auto fault = FindFault(head, {"gateway.example"}); fault && fault->status != 400 && fault->status != 421)
    std::abort();
  Query(head.target);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(AllowsGzip(text));
  if (const auto host = HostOf(text); host && (host->empty() || host->size() > text.size())) std::abort();
  static_cast<void>(ListenAddress::Parse(text));
  Query(text);
  Head(text);
  return 0;
}
