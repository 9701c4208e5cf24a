// The Accept-Encoding request header (RFC 9110, 12.5.3). Pure; any thread.
#pragma once

#include <string_view>

namespace conntally::http {

// Whether the header's value allows gzip: named (or `x-gzip`) with a weight above 0, or not named and `*` so.
// A weight that cannot be read counts as 0: plain text suits everybody.
bool AllowsGzip(std::string_view accept_encoding);

}  // namespace conntally::http
