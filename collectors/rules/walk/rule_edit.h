// The rules after a command that adds or deletes a rule: commands are tried on them before they are shown. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/walk/packet_walk.h"

namespace conntally {

struct RuleEdit {
  enum class Kind : std::uint8_t { kInsert, kAppend, kDelete };
  Kind kind = Kind::kInsert;
  ChainRef chain;
  RuleRef at;  // kInsert: the rule to insert before; kDelete: the rule to delete
  Rule rule;   // kInsert: the new rule
};

// Indexes of rules after the place shift by one; those of chains stay.
FirewallReading Edited(const FirewallReading& reading, const RuleEdit& edit);

// Rules with the walk through them. Stays where it is: the walk refers to the rules.
struct TriedRules {
  explicit TriedRules(FirewallReading given) : reading(std::move(given)), walker(reading) {}
  TriedRules(const TriedRules&) = delete;
  TriedRules& operator=(const TriedRules&) = delete;
  const FirewallReading reading;
  const PacketWalker walker;
};

}  // namespace conntally
