// The compiled program for conntrack events, an ELF file in memory. Any thread.
#pragma once

#include <span>

namespace conntally {

std::span<const unsigned char> ConntrackEventsObject();

}  // namespace conntally
