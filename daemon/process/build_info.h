// Version, revision and compiler of this build. Constant; any thread.
#pragma once

#include <string>
#include <string_view>

namespace conntally {

struct BuildInfo {
  std::string_view version;   // "0.1.0"
  std::string_view revision;  // of git, at configuration of the build, or "unknown"
  std::string_view compiler;  // "gcc 12.2.0"
};

BuildInfo GetBuildInfo();

// As `conntally --version` prints it, with its newline.
std::string VersionText();

}  // namespace conntally
