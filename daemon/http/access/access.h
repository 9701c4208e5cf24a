// Who may ask, and over what: the web configuration in force. It is read anew when one of its files changes; one that
// has faults changes nothing.
//
// AccessControl: `current` on any thread, the rest on the owner's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collectors/system/threads/guarded.h"
#include "config/fault.h"
#include "config/web/web_config.h"
#include "daemon/http/access/tls_server.h"

namespace conntally::http {

// Immutable.
struct Access {
  WebConfig config;
  std::unique_ptr<const TlsServer> tls;  // null: plain HTTP
};

class AccessControl {
 public:
  // Nobody is asked for anything.
  AccessControl() : current_(std::make_shared<const Access>()) {}

  // Takes the file at `path` into force, or none if that is empty. What is wrong with it: nothing has changed then.
  std::vector<ConfigFault> Load(const std::string& path);
  // Whether a file that was read for that is another one by now.
  bool HaveFilesChanged() const;

  const std::string& path() const { return path_; }
  std::shared_ptr<const Access> current() const { return *current_.Lock(); }

 private:
  // Where a file is, and what tells it from the one that was read.
  struct FileState {
    std::string path;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size_bytes = -1;  // absent
    std::int64_t modified_ns = 0;

    friend bool operator==(const FileState&, const FileState&) = default;
  };
  static FileState Look(const std::string& path);
  void Watch(const WebConfig& config);

  std::string path_;
  std::vector<FileState> files_;
  Guarded<std::shared_ptr<const Access>> current_;
};

// What the file says that has no effect here, one sentence each.
std::vector<std::string> WithoutEffect(const WebConfig& config);

// What is wrong with the file: nothing is taken into force.
std::vector<ConfigFault> CheckWebConfigFile(const std::string& path);

}  // namespace conntally::http
