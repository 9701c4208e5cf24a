// How many conntrack events may wait to be read, by netlink or BPF. Pure; any thread.
#pragma once

#include <cstdint>

namespace conntally {

// The receive buffer that the kernel charges for the smallest event, measured.
inline constexpr std::uint32_t kNetlinkBytesPerEvent = 1280;

// How many events fit into a requested receive buffer of this size: the kernel grants twice as much.
constexpr std::uint64_t EventsHeldBy(std::uint32_t receive_buffer_bytes) {
  return std::uint64_t{receive_buffer_bytes} * 2 / kNetlinkBytesPerEvent;
}

}  // namespace conntally
