#include "daemon/log/journal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string>

#include "collectors/system/file_descriptor.h"
#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("standard error is the journal's only when it is the very stream that systemd names") {
  const FileDescriptor file(open("/dev/null", O_WRONLY | O_CLOEXEC));
  struct stat found {};
  REQUIRE(fstat(file.get(), &found) == 0);
  const std::string device = std::to_string(found.st_dev);
  const std::string inode = std::to_string(found.st_ino);
  CHECK(IsJournalStream((device + ":" + inode).c_str(), file.get()));
  for (const std::string& other : {device + ":" + inode + "0", "0:" + inode, device, std::string(), ":" + inode}) {
    CHECK_FALSE(IsJournalStream(other.c_str(), file.get()));
  }
  CHECK_FALSE(IsJournalStream(nullptr, file.get()));
  CHECK_FALSE(IsJournalStream((device + ":" + inode).c_str(), -1));
}
