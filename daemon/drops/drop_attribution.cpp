#include "daemon/drops/drop_attribution.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "collectors/rules/walk/chain_graph.h"
#include "collectors/rules/walk/set_membership.h"

namespace conntally {
namespace {

constexpr std::uint32_t kNfprotoIpv4 = 2;
constexpr std::uint32_t kNfprotoIpv6 = 10;

// The weakest of several counts. Enough to name a rule that nothing else contends with, but not to rule out another:
// kLikely is what held before the packet and after it, and could have changed twice in between; kUnseen is what is
// understood and the key does not tell, as the destination's address or the connection's state. Not enough for
// anything: kUnknown is what is not understood.
enum class Likelihood { kNo, kUnlikely, kUnknown, kUnseen, kLikely, kYes };

Likelihood Both(Likelihood a, Likelihood b) { return std::min(a, b); }
Likelihood Known(bool holds) { return holds ? Likelihood::kYes : Likelihood::kNo; }
Likelihood Not(Likelihood likelihood) {
  switch (likelihood) {
    case Likelihood::kNo: return Likelihood::kYes;
    case Likelihood::kUnlikely: return Likelihood::kLikely;
    case Likelihood::kLikely: return Likelihood::kUnlikely;
    case Likelihood::kYes: return Likelihood::kNo;
    case Likelihood::kUnknown:
    case Likelihood::kUnseen: break;
  }
  return likelihood;
}

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

bool MatchesName(const std::string& pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

}  // namespace

// Which addresses the sets of two readings hold, as far as somebody asked.
class SourcesInSets {
 public:
  SourcesInSets(const FirewallReading& before, const FirewallReading& after) : before_(before), after_(after) {}

  const std::vector<AddressSet>* ipsets_before() const { return before_.ipsets.get(); }
  const std::vector<AddressSet>* ipsets_after() const { return after_.ipsets.get(); }

  // nullopt: nobody knows.
  std::optional<bool> Holds(const AddressSet& set, const IpAddress& source) {
    const auto [known, added] = ranges_.try_emplace(&set);
    if (added) known->second = RangesOf(set);
    if (known->second.exceptions.Contains(source)) {
      const Match membership = MembershipOf(source, set);
      return membership != Match::kMaybe ? std::optional(membership == Match::kYes) : std::nullopt;
    }
    const bool holds = known->second.elements.Contains(source);
    return holds || set.complete ? std::optional(holds) : std::nullopt;
  }

 private:
  struct Ranges {
    AddressRanges elements;
    AddressRanges exceptions;  // ipset's `nomatch`: what the narrowest element says counts there
  };

  static Ranges RangesOf(const AddressSet& set) {
    std::vector<AddressRange> elements, exceptions;
    for (const SetElement& element : set.elements)
      (element.no_match ? exceptions : elements).push_back(element.addresses);
    return {AddressRanges(std::move(elements)), AddressRanges(std::move(exceptions))};
  }

  const FirewallReading& before_;
  const FirewallReading& after_;
  std::unordered_map<const AddressSet*, Ranges> ranges_;
};

namespace {

// Behind which priority of each hook the packet cannot have come.
class HookCutoffs {
 public:
  void Add(HookSet hook, std::int32_t priority) {
    if (hook != HookSet(HookSet::kDevice)) cutoffs_.try_emplace(hook, priority);  // several hooks, as far as is known
  }
  // Chains of one priority may stand in any order.
  bool IsBeyond(HookSet hook, std::int32_t priority) const {
    const auto cutoff = cutoffs_.find(hook);
    return cutoff != cutoffs_.end() && priority > cutoff->second;
  }

 private:
  std::map<HookSet, std::int32_t> cutoffs_;
};

// One packet's way through one backend's chains.
class Walk {
 public:
  struct Candidate {
    const Rule* rule = nullptr;  // null: a policy, or a verdict that cannot be told
    Likelihood match = Likelihood::kUnknown;
    std::uint64_t rose = 0;
  };

  Walk(const DropKey& key, const DropInterfaces& interfaces, const BackendReading& before, const BackendReading& after,
       SourcesInSets& sets, std::vector<Candidate>& candidates)
      : key_(key), interfaces_(interfaces), before_(before), after_(after), sets_(sets), candidates_(candidates) {}

  // A base chain, unless the packet was surely dropped before it on the same hook.
  void BaseChain(std::size_t index, HookCutoffs& cutoffs) {
    const RuleChain& chain = after_.ruleset->chains[index];
    const HookSet hook = HookOf(chain);
    if (!IsOfFamily(chain.family, key_.source) || !key_.hooks.Meets(hook) || cutoffs.IsBeyond(hook, chain.priority))
      return;
    const Outcome outcome = Chain(chain, Likelihood::kYes, 0);
    // Chains of type nat see the first packet of a connection alone.
    if (outcome == Outcome::kDropped && chain.type != "nat") cutoffs.Add(hook, chain.priority);
    if (outcome == Outcome::kAccepted || outcome == Outcome::kDropped || chain.policy != Verdict::kDrop) return;
    const bool counted = chain.has_policy_counter && before_.policies[index] && after_.policies[index];
    if (counted && *before_.policies[index] == *after_.policies[index]) return;
    candidates_.push_back({});
  }

 private:
  enum class Outcome { kGoesOn, kReturns, kAccepted, kDropped };  // what is not certain goes on

  // kGoesOn: back to whoever jumped here, or to the policy.
  Outcome Chain(const RuleChain& chain, Likelihood reached, int depth) {
    for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
      const Rule& rule = after_.ruleset->rules[i];
      const Likelihood match = Both(reached, MatchOf(rule));
      if (match == Likelihood::kNo) continue;
      const Outcome outcome = rule.map_understood ? TakeMapped(rule, i, match, depth)
                                                  : Take(rule, i, rule.verdict, rule.jump_target, match, depth);
      if (outcome != Outcome::kGoesOn) return outcome == Outcome::kReturns ? Outcome::kGoesOn : outcome;
    }
    return Outcome::kGoesOn;
  }

  // What the map's elements make of the packet.
  Outcome TakeMapped(const Rule& rule, std::size_t index, Likelihood match, int depth) {
    bool drops = false;
    for (const MappedVerdict& mapped : rule.map) {
      Likelihood element = Both(match, mapped.key.empty() ? Likelihood::kUnknown : AllHold(rule, mapped.key));
      if (mapped.may_be_gone) element = Both(element, Likelihood::kUnknown);
      if (element == Likelihood::kNo) continue;
      const bool drop = mapped.verdict == Verdict::kDrop || mapped.verdict == Verdict::kReject;
      if (drop && drops) continue;  // one candidate, whichever of its elements it was
      drops = drops || drop;
      const Outcome outcome = Take(rule, index, mapped.verdict, mapped.jump_target, element, depth);
      if (outcome != Outcome::kGoesOn) return outcome;
    }
    return Outcome::kGoesOn;
  }

  Outcome Take(const Rule& rule, std::size_t index, Verdict verdict, const std::string& jump_target, Likelihood match,
               int depth) {
    const auto if_certain = [&](Outcome outcome) { return match == Likelihood::kYes ? outcome : Outcome::kGoesOn; };
    switch (verdict) {
      case Verdict::kDrop:
      case Verdict::kReject:
        // A jump to where everything is dropped, which does not count itself: a rule there may.
        if (!jump_target.empty() && !rule.has_counter) return Jump(rule, jump_target, false, match, depth);
        AddDrop(rule, index, match);
        return if_certain(Outcome::kDropped);
      case Verdict::kAccept: return if_certain(Outcome::kAccepted);
      case Verdict::kReturn: return if_certain(Outcome::kReturns);
      case Verdict::kJump: return Jump(rule, jump_target, false, match, depth);
      case Verdict::kGoto: return Jump(rule, jump_target, true, match, depth);
      case Verdict::kMap:
      case Verdict::kQueue:
      case Verdict::kOther: candidates_.push_back({}); return Outcome::kGoesOn;
      case Verdict::kContinue:
      case Verdict::kLog:
      case Verdict::kNat: return Outcome::kGoesOn;
    }
    return Outcome::kGoesOn;
  }

  // From where a goto leads, packets do not come back to this chain, but to the one that jumped to it.
  Outcome Jump(const Rule& rule, const std::string& target_name, bool leaves, Likelihood match, int depth) {
    const RuleChain* target = Find(rule, target_name);
    if (target == nullptr || depth >= kJumpsMax) {
      candidates_.push_back({});
      return Outcome::kGoesOn;
    }
    const Outcome inside = Chain(*target, match, depth + 1);
    if (inside != Outcome::kGoesOn || match != Likelihood::kYes || !leaves) return inside;
    return Outcome::kReturns;
  }

  void AddDrop(const Rule& rule, std::size_t index, Likelihood match) {
    const auto& then = before_.counters[index];
    const auto& now = after_.counters[index];
    if (!then || !now) {
      candidates_.push_back({nullptr, match, 0});  // it counts nothing: nobody can tell
      return;
    }
    if (*then == *now) return;
    // A counter that fell was reset meanwhile, and shows what came since.
    candidates_.push_back({&rule, match, now->packets >= then->packets ? now->packets - then->packets : now->packets});
  }

  const RuleChain* Find(const Rule& rule, const std::string& name) const {
    const auto found =
        std::find_if(after_.ruleset->chains.begin(), after_.ruleset->chains.end(), [&](const RuleChain& chain) {
          return chain.family == rule.family && chain.table == rule.table && chain.name == name;
        });
    return found != after_.ruleset->chains.end() ? &*found : nullptr;
  }

  Likelihood MatchOf(const Rule& rule) const {
    const bool understood = rule.fully_understood || rule.map_understood;
    const Likelihood all = Both(understood ? Likelihood::kYes : Likelihood::kUnknown, AllHold(rule, rule.conditions));
    return rule.limits.empty() ? all : Both(all, Likelihood::kUnseen);
  }

  Likelihood AllHold(const Rule& rule, const std::vector<RuleCondition>& conditions) const {
    Likelihood all = Likelihood::kYes;
    for (const RuleCondition& condition : conditions) {
      const Likelihood holds = Holds(rule, condition);
      all = Both(all, condition.negated ? Not(holds) : holds);
    }
    return all;
  }

  Likelihood OneHolds(const Rule& rule, const std::vector<std::vector<RuleCondition>>& alternatives) const {
    Likelihood best = Likelihood::kNo;
    for (const auto& conditions : alternatives)
      best = std::max(best, conditions.empty() ? Likelihood::kUnknown : AllHold(rule, conditions));
    return best;
  }

  Likelihood Holds(const Rule& rule, const RuleCondition& condition) const {
    const auto number = [&](std::uint32_t value) {
      return Known(std::any_of(condition.numbers.begin(), condition.numbers.end(),
                               [&](const NumberRange& range) { return range.Contains(value); }));
    };
    if (!condition.set.empty() && condition.kind != RuleCondition::Kind::kSource) return Likelihood::kUnseen;
    switch (condition.kind) {
      case RuleCondition::Kind::kSource:
        return condition.set.empty() ? SourceIn(condition.addresses) : SourceInSet(rule, condition);
      case RuleCondition::Kind::kFamily:
        return number(key_.source.family == Family::kIpv4 ? kNfprotoIpv4 : kNfprotoIpv6);
      case RuleCondition::Kind::kProtocol: return number(key_.protocol);
      case RuleCondition::Kind::kDestinationPort:
        return key_.destination_port == 0 ? Likelihood::kUnseen : number(key_.destination_port);
      case RuleCondition::Kind::kInInterface: return Interface(condition, interfaces_.in, key_.in_interface);
      case RuleCondition::Kind::kOutInterface: return Interface(condition, interfaces_.out, key_.out_interface);
      case RuleCondition::Kind::kInInterfaceIndex:
        return key_.in_interface == 0 ? Likelihood::kUnseen : number(key_.in_interface);
      case RuleCondition::Kind::kOutInterfaceIndex:
        return key_.out_interface == 0 ? Likelihood::kUnseen : number(key_.out_interface);
      case RuleCondition::Kind::kTuple: return OneHolds(rule, condition.alternatives);
      case RuleCondition::Kind::kDestination:
      case RuleCondition::Kind::kSourcePort:
      case RuleCondition::Kind::kConntrackState:
      case RuleCondition::Kind::kIcmpType:
      case RuleCondition::Kind::kTcpFlags:
      case RuleCondition::Kind::kIcmpCode:
      case RuleCondition::Kind::kMark:
      case RuleCondition::Kind::kConntrackStatus:
      case RuleCondition::Kind::kSourceType:
      case RuleCondition::Kind::kDestinationType:
      case RuleCondition::Kind::kPacketType:
      case RuleCondition::Kind::kReversePath: return Likelihood::kUnseen;
    }
    return Likelihood::kUnknown;
  }

  Likelihood SourceIn(const std::vector<AddressRange>& ranges) const {
    return Known(std::any_of(ranges.begin(), ranges.end(),
                             [&](const AddressRange& range) { return range.Contains(key_.source); }));
  }

  // Of sets that packets fill, or programs without a new generation of the rules, it is known what was in them before
  // the packet and after it.
  Likelihood SourceInSet(const Rule& rule, const RuleCondition& condition) const {
    const AddressSet* then = FindSet(rule, condition, before_.sets.get(), sets_.ipsets_before());
    const AddressSet* now = FindSet(rule, condition, after_.sets.get(), sets_.ipsets_after());
    if (then == nullptr || now == nullptr) return Likelihood::kUnknown;
    const auto held = sets_.Holds(*then, key_.source), holds = sets_.Holds(*now, key_.source);
    if (!held || !holds || *held != *holds) return Likelihood::kUnknown;
    if (!now->ipset && !now->dynamic) return Known(*holds);
    if (*holds) return now->expires ? Likelihood::kLikely : Likelihood::kYes;
    return Likelihood::kUnlikely;
  }

  static Likelihood Interface(const RuleCondition& condition, std::string_view name, std::uint32_t index) {
    if (index != 0 && name.empty()) return Likelihood::kUnseen;  // it is gone
    if (index == 0) return Likelihood::kUnseen;                  // not decided when the packet was seen
    return Known(std::any_of(condition.interfaces.begin(), condition.interfaces.end(),
                             [&](const std::string& pattern) { return MatchesName(pattern, name); }));
  }

  const DropKey& key_;
  const DropInterfaces& interfaces_;
  const BackendReading& before_;
  const BackendReading& after_;
  SourcesInSets& sets_;
  std::vector<Candidate>& candidates_;
};

}  // namespace

DropAttributor::DropAttributor(const FirewallReading& before, const FirewallReading& after)
    : before_(before), after_(after), sets_(std::make_unique<SourcesInSets>(before, after)) {}
DropAttributor::~DropAttributor() = default;

DropAttribution DropAttributor::Of(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets) {
  std::vector<Walk::Candidate> candidates;
  std::vector<Walk> walks;
  std::vector<std::tuple<std::int32_t, std::size_t, std::size_t>> chains;  // base ones: priority, walk, index
  for (const auto& [backend, now] : after_.backends) {
    if (!now.present || !now.ruleset || now.ruleset->chains.empty()) continue;
    const auto then = before_.backends.find(backend);
    const bool same =
        now.success && then != before_.backends.end() && then->second.present && then->second.ruleset == now.ruleset;
    if (!same) return {};
    walks.emplace_back(key, interfaces, then->second, now, *sets_, candidates);
    for (std::size_t i = 0; i < now.ruleset->chains.size(); ++i) {
      if (now.ruleset->chains[i].base) chains.push_back({now.ruleset->chains[i].priority, walks.size() - 1, i});
    }
  }
  std::sort(chains.begin(), chains.end());
  HookCutoffs cutoffs;
  for (const auto& [priority, walk, chain] : chains) walks[walk].BaseChain(chain, cutoffs);
  if (candidates.empty()) return {.rule = {}, .may_follow = true};
  const Walk::Candidate& first = candidates.front();
  if (candidates.size() > 1 || first.rule == nullptr || first.match < Likelihood::kUnseen) return {};
  if (first.rose < packets) return {.rule = {}, .may_follow = true};
  return {.rule = first.rule->text, .may_follow = false};
}

}  // namespace conntally
