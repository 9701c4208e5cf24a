// What a reading would be after a command that adds or deletes a rule: commands are tried on it before they are shown.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/walk/packet_walk.h"

namespace conntally {

struct RuleEdit {
  enum class Kind : std::uint8_t { kInsert, kAppend, kDelete };
  Kind kind = Kind::kInsert;
  ChainRef chain;
  RuleRef at;  // of kInsert: the rule that it stands before; of kDelete: the one that goes
  Rule rule;   // that is added
};

// Indexes of rules behind the place shift by one; those of chains stay.
FirewallReading Edited(const FirewallReading& reading, const RuleEdit& edit);

}  // namespace conntally
