// `conntally bpf-events pin` and `unpin`, which conntally-bpf.service runs as root: they load the BPF program for
// conntrack events, and pin it for a daemon that may not load it. Main thread.
#pragma once

#include <iosfwd>
#include <span>

namespace conntally {

inline constexpr const char* kPinEventsCommand = "bpf-events";

// `arguments` is main()'s argv: the program, kPinEventsCommand, pin or unpin, and optionally --config FILE. Returns 0,
// or 1 and writes the reason to `errors`.
int PinOrUnpinEvents(std::span<const char* const> arguments, std::ostream& errors);

}  // namespace conntally
