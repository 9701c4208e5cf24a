// Waits between two readings, and watches packets meanwhile if requested. On a terminal it shows what it has seen and
// the time left; Ctrl-C ends it early and keeps what it has seen. Main thread.
#pragma once

#include <optional>

#include "collectors/host/packets/packet_watch.h"
#include "daemon/command_line/grammar/question.h"
#include "daemon/diagnose/report/finding.h"

namespace conntally::diagnose {

// nullopt: watching was not requested, or failed, which the report says.
std::optional<WatchedPackets> Observe(const Question& question, bool can_watch_packets, Report& report);

}  // namespace conntally::diagnose
