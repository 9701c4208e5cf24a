// Lets time pass between two readings, and watches packets meanwhile when that was asked for. On a terminal it shows
// what it has seen and how long it still takes; Ctrl-C ends it, and what was seen so far counts. Main thread.
#pragma once

#include <optional>

#include "collectors/host/packets/packet_watch.h"
#include "daemon/command_line/grammar/question.h"
#include "daemon/diagnose/report/finding.h"

namespace conntally::diagnose {

// nullopt: nothing was to be watched, or it could not be, which the report says.
std::optional<WatchedPackets> Observe(const Question& question, bool can_watch_packets, Report& report);

}  // namespace conntally::diagnose
