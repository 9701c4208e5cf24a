// Keeps the state across restarts: reads it once, and writes it on its own thread, so that a slow disk does not block
// the caller. A failure is logged once, and never stops the daemon.
//
// Threads: one owner.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "daemon/state/state_document.h"

namespace conntally {

// The first directory of StateDirectory= in the unit; empty: systemd gives none.
std::string StateDirectoryOfSystemd();

class StateKeeper {
 public:
  static constexpr std::chrono::seconds kEvery{30};  // how often to save
  static constexpr std::chrono::milliseconds kFarewell{1000};

  // With an empty directory nothing is kept. `namespace_path` as in StateOrigin.
  StateKeeper(std::string directory, std::string namespace_path);
  ~StateKeeper() { Stop(); }
  StateKeeper(const StateKeeper&) = delete;
  StateKeeper& operator=(const StateKeeper&) = delete;

  bool keeps() const { return !directory_.empty(); }

  // The saved state, if it is usable. An unusable file is set aside.
  std::optional<State> Load() const;

  // Schedules a write and returns at once. Replaces a state that is not written yet.
  void Save(State state);
  // Waits at most kFarewell for the last write. Does not wait longer for a hanging disk.
  void Stop();

 private:
  struct Writer;

  const std::string directory_;
  const std::string namespace_path_;
  std::shared_ptr<Writer> writer_;  // shared with its thread, which may outlive this object
};

}  // namespace conntally
