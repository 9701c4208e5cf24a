// The one file that conntally writes: its own state, in its own directory. Written whole to a file beside it, which is
// then renamed, so that whoever reads it finds the old one or the new one. Only its owner may read it.
//
// Threads: one at a time. A file system that hangs holds up the caller of Write and SetAside; Read returns within a
// second.
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

  // Nullopt: there is none.
  Result<std::optional<std::string>> Read(std::size_t bytes_max) const;
  // Renames it, whatever it is, to PATH.bad, of which there is one: the last.
  Status SetAside() const;
  // Makes the directory, if only that is missing.
  Status Write(std::string_view text) const;

 private:
  const std::string directory_;
};

}  // namespace conntally
