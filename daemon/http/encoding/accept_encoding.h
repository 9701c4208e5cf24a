// The Accept-Encoding request header (RFC 9110, 12.5.3). Pure; any thread.
#pragma once

#include <string_view>

namespace conntally::http {

// Whether the header's value allows gzip: `gzip` or `x-gzip` has a weight above 0, or neither is named and `*` has. A
// malformed weight counts as 0: every client can read plain text.
bool AllowsGzip(std::string_view accept_encoding);

}  // namespace conntally::http
