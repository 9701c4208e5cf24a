// The fields suffice without our source file and line.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "daemon/log/journal.h"

#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include <algorithm>
#include <string>
#include <vector>

namespace conntally {

bool IsJournalStream(const char* stream, int descriptor) {
  struct stat found {};
  if (stream == nullptr || fstat(descriptor, &found) != 0) return false;
  return std::string_view(stream) == std::to_string(found.st_dev) + ":" + std::to_string(found.st_ino);
}

bool SendToJournal(std::string_view entry) {
  std::vector<iovec> fields;
  while (!entry.empty()) {
    const std::string_view field = entry.substr(0, entry.find('\n'));
    fields.push_back({const_cast<char*>(field.data()), field.size()});
    entry.remove_prefix(std::min(field.size() + 1, entry.size()));
  }
  return sd_journal_sendv(fields.data(), static_cast<int>(fields.size())) == 0;
}

}  // namespace conntally
