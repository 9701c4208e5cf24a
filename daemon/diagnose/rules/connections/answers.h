// Whether what belongs to a connection is let through: its answers, and what follows its first packet. Where a NEW
// packet passes and these do not, connections hang after their first packet, which no list of open ports shows. Pure;
// any thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// The packet that answers one that went this way, on its way through this host.
AskedPacket AnswerTo(const AskedPacket& asked, const Walk& walk);

}  // namespace conntally::diagnose
