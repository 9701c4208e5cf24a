// The request target (RFC 9112, 3.2): path and query, percent-decoded. We decode the raw bytes ourselves, because
// libmicrohttpd returns decoded text as C strings, in which `/metrics%00x` looks like `/metrics`. Pure; any thread.
#pragma once

#include <cstddef>
#include <string_view>

#include "collectors/system/result.h"
#include "daemon/http/message.h"

namespace conntally::http {

inline constexpr std::size_t kTargetBytesMax = 8192;
inline constexpr std::size_t kQueryPairsMax = 64;

// Accepts the origin form (`/path?query`) and the absolute form (`http://host/path?query`). In the query `+` is a
// space. Refused: a `%` without two hex digits, a NUL, another form, more than kQueryPairsMax pairs.
Result<Request> ParseTarget(std::string_view target);

}  // namespace conntally::http
