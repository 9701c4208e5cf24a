// Whether the figures can be trusted, in the one sentence that the page, the API, `status`, `top` and systemd show.
// Pure; any thread.
#pragma once

#include <string>

#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

// About the tallies: "Yes: …", "Not yet: …" or "Not now: …", with the reason.
std::string TrustVerdict(const Trust& trust, const CollectorStatuses& collectors);

// "NAME fails: why; NAME fails: why"; empty if every collector works or is off.
std::string FailingCollectors(const CollectorStatuses& collectors);

}  // namespace conntally
