// How far the figures can be trusted, in a sentence: the one that the page, the API, `status`, `top` and systemd tell.
// Pure; any thread.
#pragma once

#include <string>

#include "daemon/observation/snapshot/snapshot.h"

namespace conntally {

// Of the tallies: "Yes: …", "Not yet: …" or "Not now: …", and why not.
std::string TrustVerdict(const Trust& trust, const CollectorStatuses& collectors);

// "NAME fails: why; NAME fails: why"; empty when all work that are not off.
std::string FailingCollectors(const CollectorStatuses& collectors);

}  // namespace conntally
