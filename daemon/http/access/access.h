// The web configuration in force: TLS, users, rate limit. It is read again when one of its files changes; a faulty one
// changes nothing.
//
// AccessControl: `current` on any thread, all others on the owner's.
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
  // No access control.
  AccessControl() : current_(std::make_shared<const Access>()) {}

  // Puts the file at `path` into force, or none if that is empty. Returns its faults; then nothing has changed, and the
  // files in force are watched on.
  std::vector<ConfigFault> Load(const std::string& path);
  // Whether one of the files read by Load has changed since.
  bool HaveFilesChanged() const;

  const std::string& path() const { return path_; }
  std::shared_ptr<const Access> current() const { return *current_.Lock(); }

 private:
  // A file's path and identity, to detect a change.
  struct FileState {
    std::string path;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size_bytes = -1;  // absent
    std::int64_t modified_ns = 0;

    friend bool operator==(const FileState&, const FileState&) = default;
  };
  std::vector<ConfigFault> Read(const std::string& path);
  static FileState Look(const std::string& path);
  void Watch(const WebConfig& config);

  std::string path_;
  std::vector<FileState> files_;
  Guarded<std::shared_ptr<const Access>> current_;
};

// The settings in the file that have no effect here, one sentence each.
std::vector<std::string> WithoutEffect(const WebConfig& config);

// Returns the file's faults, without putting it into force.
std::vector<ConfigFault> CheckWebConfigFile(const std::string& path);

}  // namespace conntally::http
