// What was built, from what, by what. Constant; any thread.
#pragma once

#include <string>
#include <string_view>

namespace conntally {

struct BuildInfo {
  std::string_view version;   // "0.1.0"
  std::string_view revision;  // of git when the build was configured, or "unknown"
  std::string_view compiler;  // "gcc 12.2.0"
};

BuildInfo GetBuildInfo();

// As `conntally --version` prints it, with its newline.
std::string VersionText();

}  // namespace conntally
