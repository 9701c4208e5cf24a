#include "daemon/process/start_failure.h"

#include <sys/resource.h>

namespace conntally {
namespace {

constexpr rlim_t kFilesLeast = 64;  // the collectors keep about 25

const char* Advice(int code) {
  switch (code) {
    case EAGAIN:
      return ": its limits leave no room for one more: raise them (threads: ulimit -u; of a unit, TasksMax=; of a "
             "container, its pids limit; memory: ulimit -v)";
    case EMFILE: return ": raise its limit of files (ulimit -n; of a unit, LimitNOFILE=)";
    case ENFILE: return ": raise the sysctl fs.file-max";
    case ENOMEM:
      return ": give it more (ulimit -v; of a unit, MemoryMax=; of a container, its memory limit), or lower "
             "conntrack.connections_max and sources.tracked_max";
    default: return "";
  }
}

}  // namespace

Status ExpectRoomForFiles() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max >= kFilesLeast) return Ok();
  return Error{"it may open " + std::to_string(files.rlim_max) + " files, and needs " + std::to_string(kFilesLeast),
               EMFILE};
}

std::string ExplainStartFailure(const Error& error) { return "cannot start: " + error.message + Advice(error.code); }

}  // namespace conntally
