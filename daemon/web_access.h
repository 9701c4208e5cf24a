// The web configuration that the daemon serves under: taken at the start, when one of its files changes, and at a
// reload. A bad one is told, and the old one stays in force. Main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/http/access/access.h"
#include "daemon/http/server/server.h"

namespace conntally {

class WebAccess {
 public:
  // Whether the file at `path`, "" for none, is sound; its faults are logged.
  bool Take(const std::string& path);
  // Looks at the files; true when they were taken again, be they sound or not.
  bool TakeIfChanged();

  // The log: where it is served, and a warning where strangers may ask unasked.
  void TellServing(const std::vector<std::string>& addresses, const http::Server& server, bool was_passed) const;

  bool sound() const { return sound_; }
  std::shared_ptr<const http::AccessControl> control() const { return control_; }

 private:
  std::shared_ptr<http::AccessControl> control_ = std::make_shared<http::AccessControl>();
  bool sound_ = true;
};

}  // namespace conntally
