// Which rule dropped a packet, from two readings of the rules between which they may have changed. Counters are those
// that go on over reloads: what a rule counted before it was replaced by one that says the same is part of its rise.
//
// Where rules changed, the packet met those before or those after. It is attributed where both tell the same rule, and
// where one of them tells a rule and the other has none that can have dropped it: a ban, or one that was lifted.
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

// Whether some rule drops or rejects, also by an element of its map: else no drop can be attributed.
bool HasDropRules(const FirewallReading& snapshot);

class ReadingsAttributor {
 public:
  ReadingsAttributor(const RuleFigures& first, const RuleFigures& last);

  const FirewallReading& last() const { return last_; }
  // The most that one question looks at.
  std::uint64_t rules() const;

  DropAttribution Of(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets);

 private:
  const bool changed_;
  // As to the rules of the last reading, and as to those of the first.
  const FirewallReading first_, last_;
  const FirewallReading first_then_, last_then_;
  DropAttributor by_last_{first_, last_};
  DropAttributor by_first_{first_then_, last_then_};
};

}  // namespace conntally
