// Whether the rules accept the rest of a connection: its answers, and the packets after the first. If a NEW packet
// passes and these do not, connections hang after their first packet, which no list of open ports shows. Pure; any
// thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// The answer, as it passes this host, to a packet that took this walk.
AskedPacket AnswerTo(const AskedPacket& asked, const Walk& walk);

}  // namespace conntally::diagnose
