// The JSON API: full detail that labels must not carry. Handlers of the HTTP server, on its thread.
#pragma once

#include "daemon/http/message.h"
#include "daemon/observer.h"

namespace conntally {

// /api/v1/sources?sort=connections|new_rate|unreplied|drops&limit=50&source=CIDR
http::Response AnswerSources(Observer& observer, const http::Request& request);

// /api/v1/status
http::Response AnswerStatus(Observer& observer);

}  // namespace conntally
