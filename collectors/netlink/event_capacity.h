// How many conntrack events may wait to be read, by any way that they come. Pure; any thread.
#pragma once

#include <cstdint>

namespace conntally {

// What the kernel accounts a netlink message with, measured for the smallest event.
inline constexpr std::uint32_t kNetlinkBytesPerEvent = 1280;

// As many as fit where netlink is asked for a receive buffer of so many bytes: the kernel grants twice as much.
constexpr std::uint64_t EventsHeldBy(std::uint32_t receive_buffer_bytes) {
  return std::uint64_t{receive_buffer_bytes} * 2 / kNetlinkBytesPerEvent;
}

}  // namespace conntally
