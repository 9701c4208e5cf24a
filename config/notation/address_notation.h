// Parses addresses and prefixes as people write them: in the configuration, on the command line, in API queries, in
// top's filter. An IPv4-mapped address (RFC 4291, section 2.5.5.2) becomes the IPv4 address, since the kernel tracks
// such traffic as IPv4. Pure; any thread.
#pragma once

#include <string_view>

#include "collectors/addresses/address.h"
#include "collectors/system/result.h"

namespace conntally {

// "192.0.2.7", "2001:db8::7"; "::ffff:192.0.2.7" is 192.0.2.7.
Result<IpAddress> ParseAddress(std::string_view text);

// What to do about bits set after the prefix, as in 192.0.2.7/24.
enum class HostBits { kRefused, kCleared };

// "192.0.2.0/24", or an address for a full-length prefix; "::ffff:192.0.2.0/120" is 192.0.2.0/24. An IPv4-mapped prefix
// shorter than 96 bits is refused: it is not an IPv4 prefix, and no IPv4 address is in it.
Result<Prefix> ParsePrefix(std::string_view text, HostBits host_bits);

}  // namespace conntally
