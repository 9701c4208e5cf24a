// Packets on their way through rules that are put together by hand.
#pragma once

#include <stdexcept>

#include "collectors/rules/walk/packet_walk.h"
#include "test/unit/collectors/rules/built_rules.h"

namespace conntally::test {

inline constexpr auto kLegacy = RuleBackend::kIptablesLegacy;

inline Walk Of(const Firewall& firewall, Packet packet, const WalkRouting& routing = {}) {
  const FirewallReading snapshot = firewall.Now();
  return PacketWalker(snapshot).Arrives(std::move(packet), routing);
}

inline Firewall Input(Verdict policy, std::vector<BuiltRule> rules) {
  return Firewall().Base("filter", "INPUT", "input", 0, policy, std::move(rules));
}

inline Decision StopOf(const Walk& walk) {
  const Decision* stop = walk.stop();
  if (stop == nullptr) throw std::runtime_error("nothing stops the packet");
  return *stop;
}

// Where the deciding rule stands in the list of all rules; -1: a policy.
inline int RuleOf(const Walk& walk) {
  const Decision stop = StopOf(walk);
  return stop.rule ? static_cast<int>(stop.rule->rule) : -1;
}

}  // namespace conntally::test
