// The state as text: versioned JSON with the place and time of saving. The text to parse may be anything: a corrupt,
// foreign or old state is an error with the reason. Pure, except for ThisOrigin. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "collectors/system/result.h"

namespace conntally {

// Where a state is valid.
struct StateOrigin {
  std::string boot_id;                 // of the kernel, one per boot; empty: not known
  std::string namespace_path;          // as configured; empty: the process's own namespace
  std::uint64_t namespace_device = 0;  // identifies a living namespace; valid within a boot
  std::uint64_t namespace_inode = 0;
};

// The present origin.
StateOrigin ThisOrigin(const std::string& namespace_path);

struct State {
  nlohmann::json alerts;  // of AlertEngine
  nlohmann::json judge;   // of AlertReader
  // Set by ParseState: whether the kernel's counters have continued since, in the same boot and namespace.
  bool continues = false;
  std::chrono::seconds age{0};
};

inline constexpr std::size_t kStateBytesMax = 4U << 20U;
inline constexpr int kStateVersion = 1;
inline constexpr std::chrono::hours kStateAgeMax{7 * 24};

using StateTime = std::chrono::sys_seconds;

// An error if the text would be longer than kStateBytesMax.
Result<std::string> ComposeState(const State& state, const StateOrigin& origin, StateTime now);
Result<State> ParseState(std::string_view text, const StateOrigin& origin, StateTime now);

}  // namespace conntally
