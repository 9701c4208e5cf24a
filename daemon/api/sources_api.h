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

#include <string>
#include <vector>

#include "daemon/api/sources_query.h"
#include "daemon/http/message.h"
#include "daemon/observation/observer.h"

namespace conntally {

// A source as a JSON object. `matching_rules` is a JSON array, or empty: not asked for. Pure.
std::string SourceJson(const std::string& name, const KnownSource& source, const std::vector<SourceLimit>& limits,
                       const std::string& matching_rules = {});

http::Response AnswerSources(Observer& observer, const http::Request& request);

// Long lists must not keep short ones waiting.
http::Lane SourcesLane(const http::Request& request);

}  // namespace conntally
