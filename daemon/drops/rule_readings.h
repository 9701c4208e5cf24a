// Which rule dropped a packet, from two readings of rules that may have changed in between. Counters continue over
// reloads: a rule's rise includes what it counted before a rule with the same text replaced it.
//
// If the rules changed, the packet met either the old or the new ones. It is attributed if both readings give the same
// rule, or if one gives a rule and the other has none that can have dropped it, as when a ban is added or lifted.
//
// Pure; one thread at a time.
#pragma once

#include <cstdint>
#include <optional>

#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/rule_counters.h"
#include "daemon/drops/drop_attribution.h"

namespace conntally {

FirewallReading SnapshotOf(const RuleFigures& reading);

// Whether some rule drops or rejects, also by an element of its map. Without one, no drop can be attributed.
bool HasDropRules(const FirewallReading& snapshot);

class ReadingsAttributor {
 public:
  ReadingsAttributor(const RuleFigures& first, const RuleFigures& last);

  const FirewallReading& last() const { return last_; }
  // The most rules that one call of Of examines.
  std::uint64_t rules() const;

  DropAttribution Of(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets);

 private:
  const bool changed_;
  // Both readings' counters for the rules of the last reading, and both for the rules of the first.
  const FirewallReading first_, last_;
  const FirewallReading first_then_, last_then_;
  DropAttributor by_last_{first_, last_};
  DropAttributor by_first_{first_then_, last_then_};
};

}  // namespace conntally
