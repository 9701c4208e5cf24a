// /api/v1/sources?sort=connections|new_rate|unreplied|drops&limit=50&source=CIDR: every source in full detail, which
// labels must not carry. Of a single address also which drop and reject rules cover it, whether it has a connection or
// not.
//
// The sources are ranked in one look at the tallies, of which no more are kept than are asked for; their rows are
// written piece by piece, after it. Who share an answer, and how many are answered at a time, is the HTTP server's to
// say.
//
// Threads: any.
#pragma once

#include "daemon/http/message.h"
#include "daemon/observation/observer.h"

namespace conntally {

http::Response AnswerSources(Observer& observer, const http::Request& request);

// Long lists must not keep short ones waiting.
http::Lane SourcesLane(const http::Request& request);

}  // namespace conntally
