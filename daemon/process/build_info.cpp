#include "daemon/process/build_info.h"

namespace conntally {

// daemon/process/CMakeLists.txt defines the macros for this file.
BuildInfo GetBuildInfo() { return {CONNTALLY_VERSION, CONNTALLY_REVISION, CONNTALLY_COMPILER}; }

std::string VersionText() {
  const BuildInfo build = GetBuildInfo();
  std::string text = "conntally, version ";
  text.append(build.version).append(" (revision ").append(build.revision).append(")\n");
  text.append("  compiler: ").append(build.compiler).append("\n");
  return text;
}

}  // namespace conntally
