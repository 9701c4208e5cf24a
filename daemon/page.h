// The landing page at `/`: where things are, and how it stands. Pure; any thread.
#pragma once

#include "daemon/http/message.h"
#include "daemon/snapshot.h"

namespace conntally {

http::Response AnswerPage(const Snapshot& snapshot);

}  // namespace conntally
