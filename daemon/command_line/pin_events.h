// `conntally bpf-events pin` and `unpin`, which conntally-bpf.service runs, and nobody has to type: the program that
// hands conntrack events over is loaded by who may, and left for a daemon that may not. Main thread.
#pragma once

#include <iosfwd>
#include <span>

namespace conntally {

inline constexpr const char* kPinEventsCommand = "bpf-events";

// `arguments` is main()'s argv: the program, kPinEventsCommand, pin or unpin, and perhaps --config FILE. 0, or 1 and on
// `errors` why not.
int PinOrUnpinEvents(std::span<const char* const> arguments, std::ostream& errors);

}  // namespace conntally
