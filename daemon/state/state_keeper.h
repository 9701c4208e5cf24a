// Keeps the state across restarts: reads it once, and writes it on a thread of its own, so that no disk holds up
// whoever has something to save. What goes wrong is logged, once, and is never a reason not to run.
//
// Threads: one owner.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "daemon/state/state_document.h"

namespace conntally {

// That of StateDirectory= in the unit, the first of several; empty: systemd names none.
std::string StateDirectoryOfSystemd();

class StateKeeper {
 public:
  static constexpr std::chrono::seconds kEvery{30};  // how often to save
  static constexpr std::chrono::milliseconds kFarewell{1000};

  // An empty directory: there is none, and nothing is kept. `namespace_path` as in StateOrigin.
  StateKeeper(std::string directory, std::string namespace_path);
  ~StateKeeper() { Stop(); }
  StateKeeper(const StateKeeper&) = delete;
  StateKeeper& operator=(const StateKeeper&) = delete;

  bool keeps() const { return !directory_.empty(); }

  // What was saved, if it is of use. What is not is put aside.
  std::optional<State> Load() const;

  // Writes it soon. Returns at once; one that is not written yet is replaced.
  void Save(State state);
  // Waits for the last one to be written, for kFarewell at most. A disk that hangs is left behind.
  void Stop();

 private:
  struct Writer;

  const std::string directory_;
  const std::string namespace_path_;
  std::shared_ptr<Writer> writer_;  // shared with its thread, which may outlive this
};

}  // namespace conntally
