// The web configuration that the daemon uses: read at start, at a reload, and when one of its files changes. A faulty
// one is logged, and the old one stays in force. Main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/http/access/access.h"
#include "daemon/http/server/server.h"

namespace conntally {

class WebAccess {
 public:
  // Reads the file at `path` ("": none), logs its faults, and returns whether it is valid and now in force.
  bool Take(const std::string& path);
  // Checks the files; true if they were read again, whether or not they are valid.
  bool TakeIfChanged();

  // Logs the addresses, and a warning if other hosts may connect without a password.
  void TellServing(const std::vector<std::string>& addresses, const http::Server& server, bool was_passed) const;

  // Whether the file in force is valid as it is now.
  bool sound() const { return sound_; }
  std::shared_ptr<const http::AccessControl> control() const { return control_; }

 private:
  std::shared_ptr<http::AccessControl> control_ = std::make_shared<http::AccessControl>();
  bool sound_ = true;
};

}  // namespace conntally
