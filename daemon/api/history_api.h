// /api/v1/history: the last hour in columns of equal length, one sample every 10 s; with ?source=ADDRESS of one source,
// for the times at which it stood out. A handler of the HTTP server, on its thread.
#pragma once

#include "daemon/http/message.h"
#include "daemon/observation/observer.h"

namespace conntally {

http::Response AnswerHistory(const Observer& observer, const http::Request& request);

}  // namespace conntally
