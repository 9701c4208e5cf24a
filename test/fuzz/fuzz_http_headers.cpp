// What a client writes and we parse ourselves (the request target, Accept-Encoding, Host), and the listen address.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/http/accept_encoding.h"
#include "daemon/http/server/listen.h"
#include "daemon/http/server/request_head.h"
#include "daemon/http/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace conntally::http;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(AllowsGzip(text));
  if (const auto host = HostOf(text); host && (host->empty() || host->size() > text.size())) std::abort();
  static_cast<void>(ListenAddress::Parse(text));
  if (const auto request = ParseTarget(text)) {
    const Request& parsed = request.value();
    if (!parsed.path.starts_with('/') || parsed.path.find('\0') != parsed.path.npos) std::abort();
    if (parsed.query.size() > kQueryPairsMax) std::abort();
  }
  return 0;
}
