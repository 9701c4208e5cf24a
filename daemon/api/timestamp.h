// Times as people and JSON write them. Pure; any thread.
#pragma once

#include <chrono>
#include <string>

namespace conntally {

// RFC 3339 in UTC: "2026-01-31T23:59:59Z".
std::string Rfc3339(std::chrono::sys_seconds when);

}  // namespace conntally
