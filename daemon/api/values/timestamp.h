// Formats times. Pure; any thread.
#pragma once

#include <chrono>
#include <string>

namespace conntally {

// RFC 3339 in UTC: "2026-01-31T23:59:59Z".
std::string Rfc3339(std::chrono::sys_seconds when);

// One moment by both clocks, to convert times of the steady clock to the present wall clock.
struct TwoClocks {
  std::chrono::system_clock::time_point wall;
  std::chrono::steady_clock::time_point steady;

  static TwoClocks Now() { return {std::chrono::system_clock::now(), std::chrono::steady_clock::now()}; }
  std::string Rfc3339(std::chrono::steady_clock::time_point when) const;
};

}  // namespace conntally
