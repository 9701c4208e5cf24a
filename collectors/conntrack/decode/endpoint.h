// One end of connections. A plain value; any thread.
#pragma once

#include <compare>
#include <cstdint>

#include "collectors/addresses/address.h"

namespace conntally {

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;     // host order; 0 where the protocol has none
  std::uint8_t protocol = 0;  // IANA number

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

}  // namespace conntally
