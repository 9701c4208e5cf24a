// The state as text: versioned JSON, which says where and when it was saved. What is read may be anything: a corrupt,
// foreign or old one is an error that says why. Pure, but for ThisOrigin. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "collectors/system/result.h"

namespace conntally {

// Where a state holds.
struct StateOrigin {
  std::string boot_id;                 // of the kernel, from its start to its end; empty: not known
  std::string namespace_path;          // as it was asked for; empty: the process's own
  std::uint64_t namespace_device = 0;  // which of the living namespaces; valid within a boot
  std::uint64_t namespace_inode = 0;
};

// As it is now.
StateOrigin ThisOrigin(const std::string& namespace_path);

struct State {
  nlohmann::json alerts;  // of AlertEngine
  nlohmann::json judge;   // of AlertReader
  // Set as it is read: whether the kernel's counters have gone on since, from the same boot and namespace.
  bool continues = false;
  std::chrono::seconds age{0};
};

inline constexpr std::size_t kStateBytesMax = 4U << 20U;
inline constexpr int kStateVersion = 1;
inline constexpr std::chrono::hours kStateAgeMax{7 * 24};

using StateTime = std::chrono::sys_seconds;

// An error when it would be longer than kStateBytesMax.
Result<std::string> ComposeState(const State& state, const StateOrigin& origin, StateTime now);
Result<State> ParseState(std::string_view text, const StateOrigin& origin, StateTime now);

}  // namespace conntally
