// Addresses and prefixes as people write them: in the configuration, on the command line, in a question to the API, in
// top's filter. An IPv4-mapped one (RFC 4291, section 2.5.5.2) is the IPv4 one that it stands for, since the kernel
// tracks such traffic as IPv4. Pure; any thread.
#pragma once

#include <string_view>

#include "collectors/addresses/address.h"
#include "collectors/system/result.h"

namespace conntally {

// "192.0.2.7", "2001:db8::7"; "::ffff:192.0.2.7" is 192.0.2.7.
Result<IpAddress> ParseAddress(std::string_view text);

// What to do about bits that are set behind the prefix, as in 192.0.2.7/24.
enum class HostBits { kRefused, kCleared };

// "192.0.2.0/24", or an address alone for the whole of it; "::ffff:192.0.2.0/120" is 192.0.2.0/24. An IPv4-mapped one
// shorter than 96 bits is refused: it would be neither an IPv4 prefix nor one that anything of IPv4 is in.
Result<Prefix> ParsePrefix(std::string_view text, HostBits host_bits);

}  // namespace conntally
