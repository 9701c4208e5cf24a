// The compiled eBPF program, an ELF file in memory. Any thread.
#pragma once

#include <span>

namespace conntally {

std::span<const unsigned char> NetfilterDropsObject();

}  // namespace conntally
