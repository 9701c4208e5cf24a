// The one file that conntally writes: its own state, in its own directory. It writes a new file beside the old one and
// renames it, so a reader sees either the old or the new state. Only its owner may read it.
//
// Threads: one at a time. If the file system hangs, Write and SetAside block; Read returns within a second.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "collectors/system/result.h"

namespace conntally {

class StateFile {
 public:
  explicit StateFile(std::string directory) : directory_(std::move(directory)) {}

  std::string path() const { return directory_ + "/state.json"; }

  // nullopt: there is no file.
  Result<std::optional<std::string>> Read(std::size_t bytes_max) const;
  // Renames the file, of whatever kind, to PATH.bad, and replaces an earlier one.
  Status SetAside() const;
  // Creates the directory if its parent exists.
  Status Write(std::string_view text) const;

 private:
  const std::string directory_;
};

}  // namespace conntally
