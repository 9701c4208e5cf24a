// /api/v1/sources?sort=connections|new_rate|unreplied|drops&limit=50&source=CIDR: every source, in more detail than
// labels may have. For a single address also the drop and reject rules that cover it, whether or not it has a
// connection.
//
// It ranks the sources in one pass over the tallies and keeps only as many as requested; afterwards it writes their
// rows piece by piece. The HTTP server decides which requests share an answer, and how many are answered at a time.
//
// Threads: any.
#pragma once

#include "daemon/http/message.h"
#include "daemon/observation/observer.h"

namespace conntally {

http::Response AnswerSources(Observer& observer, const http::Request& request);

// Long lists have their own lane, so that they do not delay short ones.
http::Lane SourcesLane(const http::Request& request);

}  // namespace conntally
