#include "daemon/drops/drop_attribution.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <utility>

namespace conntally {
namespace {

constexpr std::uint32_t kAnyState = kStateInvalid | kStateEstablished | kStateRelated | kStateNew | kStateUntracked;

HookSet HookOf(const RuleChain& chain) {
  constexpr std::array<std::pair<std::string_view, std::uint8_t>, 5> kHooks = {
      {{"prerouting", HookSet::kPrerouting},
       {"input", HookSet::kInput},
       {"forward", HookSet::kForward},
       {"output", HookSet::kOutput},
       {"postrouting", HookSet::kPostrouting}}};
  const bool of_device =
      chain.family == RuleFamily::kBridge || chain.family == RuleFamily::kNetdev || chain.family == RuleFamily::kArp;
  for (const auto& [name, bit] : kHooks) {
    if (!of_device && chain.hook == name) return HookSet(bit);
  }
  return HookSet(HookSet::kDevice);  // also inet's ingress
}

bool IsOfFamily(RuleFamily family, const IpAddress& source) {
  if (family == RuleFamily::kIp) return source.family == Family::kIpv4;
  if (family == RuleFamily::kIp6) return source.family == Family::kIpv6;
  return family != RuleFamily::kArp;
}

// The priority in each hook beyond which the packet cannot have come.
class HookCutoffs {
 public:
  void Add(HookSet hook, std::int32_t priority) {
    if (hook != HookSet(HookSet::kDevice)) cutoffs_.try_emplace(hook, priority);  // may be several hooks
  }
  // Chains of equal priority may be in any order.
  bool IsBeyond(HookSet hook, std::int32_t priority) const {
    const auto cutoff = cutoffs_.find(hook);
    return cutoff != cutoffs_.end() && priority > cutoff->second;
  }

 private:
  std::map<HookSet, std::int32_t> cutoffs_;
};

// nullopt: not decided when the packet was seen, or the interface is gone.
std::optional<PacketInterface> Interface(std::uint32_t index, std::string_view name) {
  if (index == 0 || name.empty()) return std::nullopt;
  return PacketInterface{index, std::string(name)};
}

Packet PacketOf(const DropKey& key, const DropInterfaces& interfaces) {
  Packet packet;
  packet.family = key.source.family;
  packet.source = key.source;
  packet.destination = key.destination;
  packet.icmp_type = key.icmp_type;
  packet.protocol = key.protocol;
  if (key.destination_port != 0) packet.destination_port = NumberRange{key.destination_port, key.destination_port};
  packet.in = Interface(key.in_interface, interfaces.in);
  packet.out = Interface(key.out_interface, interfaces.out);
  packet.state = key.state != 0 ? key.state : kAnyState;
  packet.status.reset();
  packet.mark.reset();
  return packet;
}

}  // namespace

DropAttributor::DropAttributor(const FirewallReading& before, const FirewallReading& after)
    : before_(before), after_(after), walker_(after, &before) {
  for (const auto& [backend, now] : after_.backends) {
    all_read_ = all_read_ && !now.lacks_capability && (now.success || !now.present);
    if (!now.present || !now.ruleset || now.ruleset->chains.empty()) continue;
    const auto then = before_.backends.find(backend);
    same_rules_ = same_rules_ && now.success && then != before_.backends.end() && then->second.present &&
                  then->second.ruleset == now.ruleset;
    for (std::size_t i = 0; i < now.ruleset->chains.size(); ++i) {
      const RuleChain& chain = now.ruleset->chains[i];
      if (chain.base) bases_.push_back({chain.priority, HookOf(chain), {backend, i}});
    }
  }
  std::stable_sort(bases_.begin(), bases_.end(), [](const Base& a, const Base& b) { return a.priority < b.priority; });
}

RuleRef DropAttributor::CountedBy(const Decision& stop) const {
  for (const RuleRef jump : stop.jumps) {
    const Rule& rule = walker_.rule(jump);
    if (rule.has_counter && (rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject)) return jump;
  }
  return *stop.rule;
}

void DropAttributor::Collect(const Walk& walk, ChainRef base, std::vector<Candidate>& candidates) const {
  if (walk.open || walk.cut_short) candidates.push_back({});
  const BackendReading& before = before_.backends.at(base.backend);
  const BackendReading& after = after_.backends.at(base.backend);
  std::optional<RuleRef> last;
  for (const Decision& stop : walk.stops) {
    if (!stop.rule) {
      const auto &then = before.policies[base.chain], &now = after.policies[base.chain];
      const bool counted = walker_.chain(base).has_policy_counter && then && now;
      if (!counted || *then != *now) candidates.push_back({});
      continue;
    }
    const RuleRef ref = CountedBy(stop);
    if (last == ref) continue;  // one candidate, whichever of its map's elements matched
    last = ref;
    const auto &then = before.counters[ref.rule], &now = after.counters[ref.rule];
    if (!then || !now) {
      candidates.push_back({&walker_.rule(ref), stop.by_itself, std::nullopt});
    } else if (*then != *now) {
      // A lower counter was reset meanwhile, and shows the packets since.
      const std::uint64_t rose = now->packets >= then->packets ? now->packets - then->packets : now->packets;
      candidates.push_back({&walker_.rule(ref), stop.by_itself, rose});
    }
  }
}

DropAttribution DropAttributor::Of(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets) {
  if (!same_rules_) return {};
  const Packet packet = PacketOf(key, interfaces);
  std::vector<Candidate> candidates;
  HookCutoffs cutoffs;
  for (const Base& base : bases_) {
    const RuleChain& chain = walker_.chain(base.ref);
    if (!IsOfFamily(chain.family, key.source) || !key.hooks.Meets(base.hook) ||
        cutoffs.IsBeyond(base.hook, base.priority))
      continue;
    const Walk walk = walker_.In(base.ref, packet, Limits::kNotKnown);
    // Chains of type nat see only the first packet of a connection.
    if (walk.passes == Match::kNo && chain.type != "nat") cutoffs.Add(base.hook, base.priority);
    const std::size_t before = candidates.size();
    Collect(walk, base.ref, candidates);
    for (std::size_t i = before; i < candidates.size(); ++i) candidates[i].hook = base.hook;
  }
  if (candidates.empty()) return {.may_follow = true, .none_can = true};
  const Candidate& first = candidates.front();
  if (candidates.size() > 1 || first.rule == nullptr) return {};
  // No other rule can have dropped it. Conntrack itself may have: not what is established, and not in forward.
  const bool only_rules = all_read_ && (key.state == kStateEstablished || key.hooks == HookSet(HookSet::kForward));
  const Why why = first.match.why;
  const bool likely = IsUnderstood(why) ? first.rose.has_value() || only_rules : why == Why::kUndecoded && only_rules;
  if (first.match.match != Match::kYes && !likely) return {};
  if (first.rose && *first.rose < packets) return {.may_follow = true};
  return {.rule = first.rule->text, .hook = first.hook};
}

}  // namespace conntally
