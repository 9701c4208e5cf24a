// The page at `/`: one document that brings its style and script along (daemon/page/, carried in the binary) and asks
// nothing but this daemon's API. Its figures are filled in here, so that it tells the main ones without a script, too.
//
// The Content-Security-Policy names style and script by their hashes: whatever a rule's comment or a log prefix may
// hold, no other script runs. Values are escaped; the script writes texts only, never markup.
//
// Pure; any thread.
#pragma once

#include "daemon/http/message.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

http::Response AnswerPage(const Snapshot& snapshot);

}  // namespace conntally
