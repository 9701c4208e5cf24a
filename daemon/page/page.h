// The page at `/`: one document with its style and script (daemon/page/, embedded in the binary), which requests only
// this daemon's API. The main figures are filled in here, so that the page shows them without its script too.
//
// The Content-Security-Policy allows style and script by their hashes: whatever a rule's comment or a log prefix
// contains, no other script runs. Values are escaped; the script writes only text, never markup.
//
// Pure; any thread.
#pragma once

#include "daemon/http/message.h"
#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

http::Response AnswerPage(const Snapshot& snapshot);

}  // namespace conntally
