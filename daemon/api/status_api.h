// /api/v1/status: how it stands, and how far to trust it. Pure; any thread.
#pragma once

#include "daemon/http/message.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

http::Response AnswerStatus(const Snapshot& snapshot);

}  // namespace conntally
