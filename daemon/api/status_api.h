// /api/v1/status: the daemon's status, and whether its figures can be trusted. Pure; any thread.
#pragma once

#include "daemon/http/message.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

http::Response AnswerStatus(const Snapshot& snapshot);

}  // namespace conntally
