#include "daemon/process/process_figures.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "collectors/system/folder.h"

namespace conntally {
namespace {

double TicksToSeconds(std::uint64_t ticks) {
  return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double BootTimeSeconds() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("btime ", 0) == 0) return std::stod(line.substr(6));
  }
  return 0;
}

std::uint64_t OpenFileCount() {
  const auto descriptors = NamesIn("/proc/self/fd");
  return descriptors ? descriptors->size() : 0;
}

}  // namespace

ProcessFigures ReadProcessFigures() {
  ProcessFigures figures;
  std::ifstream file("/proc/self/stat");
  std::string stat;
  std::getline(file, stat);
  // proc(5): the command's name is in parentheses and may contain anything; the fields from 3 on are plain.
  std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 2, stat.size())));
  std::string skipped;
  std::uint64_t user_ticks = 0, system_ticks = 0, start_ticks = 0, resident_pages = 0;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  fields >> user_ticks >> system_ticks;
  for (int i = 16; i < 20; ++i) fields >> skipped;
  fields >> figures.threads >> skipped >> start_ticks >> figures.virtual_bytes >> resident_pages;
  figures.cpu_seconds = TicksToSeconds(user_ticks + system_ticks);
  static const double boot_time = BootTimeSeconds();
  figures.start_time_seconds = boot_time + TicksToSeconds(start_ticks);
  figures.resident_bytes = resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  figures.open_fds = OpenFileCount();
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) figures.max_fds = files.rlim_cur;
  return figures;
}

}  // namespace conntally
