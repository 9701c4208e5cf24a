// The question to `conntally diagnose`: which traffic is refused or lost. An absent value matches everything. Plain
// values; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "collectors/addresses/address.h"

namespace conntally::diagnose {

struct Question {
  std::optional<IpAddress> source;
  std::optional<IpAddress> destination;  // one of this host's addresses, or a host behind it; absent: this host
  std::optional<std::uint16_t> destination_port;
  std::optional<std::uint8_t> protocol;  // IPPROTO_*; with a port and no protocol: TCP
  std::chrono::milliseconds observe{0};  // how long to watch traffic and counters; 0: two readings close together
};

}  // namespace conntally::diagnose
