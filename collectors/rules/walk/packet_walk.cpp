#include "collectors/rules/walk/packet_walk.h"

#include <algorithm>
#include <utility>

#include "collectors/rules/walk/walk_run.h"

namespace conntally {

PacketWalker::PacketWalker(const FirewallReading& snapshot, const FirewallReading* before)
    : snapshot_(snapshot), matcher_(snapshot, before) {
  constexpr std::array<std::string_view, kHooks> kNames = {"prerouting",  "input",   "forward", "output",
                                                           "postrouting", "ingress", "egress"};
  constexpr std::int32_t kDestinationNat = -100, kSourceNat = 100;  // NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC
  for (const auto& [backend, one] : snapshot.backends) {
    if (!one.ruleset) continue;
    graphs_.try_emplace(backend, *one.ruleset);
    for (std::size_t i = 0; i < one.ruleset->chains.size(); ++i) {
      const RuleChain& chain = one.ruleset->chains[i];
      if (!chain.base) continue;
      const auto hook = std::find(kNames.begin(), kNames.end(), chain.hook);
      const bool of_devices = hook != kNames.end() && hook - kNames.begin() >= kIngress;
      const bool of_bridge = chain.family == RuleFamily::kBridge;
      const bool of_packets = of_devices ? !chain.devices.empty()
                                         : chain.family == RuleFamily::kIp || chain.family == RuleFamily::kIp6 ||
                                               chain.family == RuleFamily::kInet || of_bridge;
      if (!of_packets || hook == kNames.end()) {
        if (chain.rule_count != 0 || chain.policy == Verdict::kDrop) not_walked_.push_back({backend, i});
        continue;
      }
      const auto at = static_cast<std::size_t>(hook - kNames.begin());
      const bool nat = chain.type == "nat";
      const bool of_source = at == kInput || at == kPostrouting;
      const std::int32_t priority = nat ? (of_source ? kSourceNat : kDestinationNat) : chain.priority;
      (of_bridge ? bridge_hooks_ : hooks_)[at].push_back({{backend, i}, nat, priority, nat ? chain.priority : 0});
    }
  }
  // At equal priority, the hook registered last comes first (nf_hook_entries_grow); nftables lists its chains in order
  // of creation.
  for (auto* const hooks : {&hooks_, &bridge_hooks_}) {
    for (std::vector<Hooked>& hooked : *hooks) {
      std::reverse(hooked.begin(), hooked.end());
      std::stable_sort(hooked.begin(), hooked.end(), [](const Hooked& a, const Hooked& b) {
        return std::pair(a.priority, a.inner) < std::pair(b.priority, b.inner);
      });
    }
  }
}

const Rule& PacketWalker::rule(RuleRef ref) const {
  return snapshot_.backends.at(ref.backend).ruleset->rules[ref.rule];
}

const RuleChain& PacketWalker::chain(ChainRef ref) const {
  return snapshot_.backends.at(ref.backend).ruleset->chains[ref.chain];
}

const RuleChain* PacketWalker::ChainNamed(RuleBackend backend, RuleFamily family, std::string_view table,
                                          std::string_view name) const {
  const auto found = graphs_.find(backend);
  return found != graphs_.end() ? found->second.Find(family, table, name) : nullptr;
}

Walk PacketWalker::Arrives(Packet packet, const WalkRouting& routing) const {
  return WalkRun(*this, std::move(packet), routing).Arrives();
}

Walk PacketWalker::Leaves(Packet packet, const WalkRouting& routing) const {
  return WalkRun(*this, std::move(packet), routing).Leaves();
}

Walk PacketWalker::Bridged(Packet packet, const WalkRouting& routing, bool meets_ip_rules) const {
  return WalkRun(*this, std::move(packet), routing).Bridged(meets_ip_rules);
}

Walk PacketWalker::In(ChainRef base, const Packet& packet, Limits limits) const {
  WalkRouting routing;
  routing.limits = limits;
  return WalkRun(*this, packet, routing).In(base);
}

}  // namespace conntally
