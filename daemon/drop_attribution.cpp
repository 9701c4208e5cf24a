#include "daemon/drop_attribution.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "daemon/packet_paths.h"

namespace conntally {
namespace {

constexpr int kJumpsMax = 16;  // NFT_JUMP_STACK_SIZE
constexpr std::uint32_t kNfprotoIpv4 = 2;
constexpr std::uint32_t kNfprotoIpv6 = 10;

// The weakest of several counts. Enough to name a rule that nothing else contends with, but not to rule out another: kLikely is what held
// before the packet and after it, and could have changed twice in between; kUnseen is what is understood and the key does not tell, as the
// destination's address or the connection's state. Not enough for anything: kUnknown is what is not understood.
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
  constexpr std::array<std::pair<std::string_view, std::uint8_t>, 5> kHooks = {{{"prerouting", HookSet::kPrerouting},
                                                                              {"input", HookSet::kInput},
                                                                              {"forward", HookSet::kForward},
                                                                              {"output", HookSet::kOutput},
                                                                              {"postrouting", HookSet::kPostrouting}}};
  const bool of_device = chain.family == RuleFamily::kBridge || chain.family == RuleFamily::kNetdev ||
                         chain.family == RuleFamily::kArp;
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
  SourcesInSets(const RuleSnapshot& before, const RuleSnapshot& after) : before_(before), after_(after) {}

  const std::vector<RuleSet>* ipsets_before() const { return before_.ipsets.get(); }
  const std::vector<RuleSet>* ipsets_after() const { return after_.ipsets.get(); }

  // nullopt: nobody knows.
  std::optional<bool> Holds(const RuleSet& set, const IpAddress& source) {
    const auto [known, added] = ranges_.try_emplace(&set);
    if (added) known->second = RangesOf(set);
    if (!known->second) return std::nullopt;
    const bool holds = known->second->Contains(source);
    return holds || set.complete ? std::optional(holds) : std::nullopt;
  }

 private:
  static std::optional<AddressRanges> RangesOf(const RuleSet& set) {
    std::vector<AddressRange> ranges;
    for (const SetElement& element : set.elements) {
      if (element.no_match) return std::nullopt;
      ranges.push_back(element.addresses);
    }
    return AddressRanges(std::move(ranges));
  }

  const RuleSnapshot& before_;
  const RuleSnapshot& after_;
  std::unordered_map<const RuleSet*, std::optional<AddressRanges>> ranges_;
};

namespace {

// One packet's way through one backend's chains.
class Walk {
 public:
  struct Candidate {
    const Rule* rule = nullptr;  // null: a policy, or a verdict that cannot be told
    Likelihood match = Likelihood::kUnknown;
    std::uint64_t rose = 0;
  };

  Walk(const DropKey& key, const DropInterfaces& interfaces, const RulesetSnapshot& before, const RulesetSnapshot& after,
       SourcesInSets& sets, std::vector<Candidate>& candidates)
      : key_(key), interfaces_(interfaces), before_(before), after_(after), sets_(sets), candidates_(candidates) {}

  void AllChains() {
    for (std::size_t i = 0; i < after_.ruleset->chains.size(); ++i) {
      const RuleChain& chain = after_.ruleset->chains[i];
      if (!chain.base || !IsOfFamily(chain.family, key_.source) || !key_.hooks.Meets(HookOf(chain))) continue;
      const bool ended = Chain(chain, Likelihood::kYes, 0) == Outcome::kEnds;
      if (ended || chain.policy != Verdict::kDrop) continue;
      const bool counted = chain.has_policy_counter && before_.policies[i] && after_.policies[i];
      if (counted && *before_.policies[i] == *after_.policies[i]) continue;
      candidates_.push_back({});
    }
  }

 private:
  enum class Outcome { kGoesOn, kEnds };

  Outcome Chain(const RuleChain& chain, Likelihood reached, int depth) {
    for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
      const Rule& rule = after_.ruleset->rules[i];
      const Likelihood match = Both(reached, MatchOf(rule));
      if (match == Likelihood::kNo) continue;
      Verdict verdict = rule.verdict;
      const Outcome outcome = rule.map_understood ? TakeMapped(rule, i, match, depth, verdict) : Take(rule, i, verdict, rule.jump_target, match, depth);
      if (outcome == Outcome::kGoesOn) continue;
      // A return ends this chain alone.
      return verdict == Verdict::kReturn && depth > 0 ? Outcome::kGoesOn : Outcome::kEnds;
    }
    return Outcome::kGoesOn;
  }

  // What the map's elements make of the packet; `verdict` is that of the one that is certain, if there is one.
  Outcome TakeMapped(const Rule& rule, std::size_t index, Likelihood match, int depth, Verdict& verdict) {
    bool drops = false;
    for (const MappedVerdict& mapped : rule.map) {
      const Likelihood element = Both(match, mapped.key.empty() ? Likelihood::kUnknown : AllHold(rule, mapped.key));
      if (element == Likelihood::kNo) continue;
      const bool drop = mapped.verdict == Verdict::kDrop || mapped.verdict == Verdict::kReject;
      if (drop && drops) continue;  // one candidate, whichever of its elements it was
      drops = drops || drop;
      if (Take(rule, index, mapped.verdict, mapped.jump_target, element, depth) == Outcome::kEnds) {
        verdict = mapped.verdict;
        return Outcome::kEnds;
      }
    }
    return Outcome::kGoesOn;
  }

  Outcome Take(const Rule& rule, std::size_t index, Verdict verdict, const std::string& jump_target, Likelihood match, int depth) {
    const Outcome ends = match == Likelihood::kYes ? Outcome::kEnds : Outcome::kGoesOn;
    switch (verdict) {
      case Verdict::kDrop:
      case Verdict::kReject:
        // A jump into a chain that only drops, and counts nothing itself: the rules there do.
        if (!jump_target.empty() && !after_.counters[index]) return Take(rule, index, Verdict::kJump, jump_target, match, depth);
        AddDrop(rule, index, match);
        return ends;
      case Verdict::kAccept:
      case Verdict::kReturn: return ends;
      case Verdict::kJump:
      case Verdict::kGoto: {
        const RuleChain* target = Find(rule, jump_target);
        if (target == nullptr || depth >= kJumpsMax) {
          candidates_.push_back({});
          return Outcome::kGoesOn;
        }
        const Outcome inside = Chain(*target, match, depth + 1);
        return match == Likelihood::kYes && (verdict == Verdict::kGoto || inside == Outcome::kEnds) ? Outcome::kEnds
                                                                                                     : Outcome::kGoesOn;
      }
      case Verdict::kMap:
      case Verdict::kQueue:
      case Verdict::kOther: candidates_.push_back({}); return Outcome::kGoesOn;
      case Verdict::kContinue:
      case Verdict::kLog:
      case Verdict::kNat: return Outcome::kGoesOn;
    }
    return Outcome::kGoesOn;
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
    const auto found = std::find_if(after_.ruleset->chains.begin(), after_.ruleset->chains.end(), [&](const RuleChain& chain) {
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
    for (const auto& conditions : alternatives) best = std::max(best, conditions.empty() ? Likelihood::kUnknown : AllHold(rule, conditions));
    return best;
  }

  Likelihood Holds(const Rule& rule, const RuleCondition& condition) const {
    const auto number = [&](std::uint32_t value) {
      return Known(std::any_of(condition.numbers.begin(), condition.numbers.end(),
                               [&](const NumberRange& range) { return range.Contains(value); }));
    };
    if (!condition.set.empty() && condition.kind != RuleCondition::Kind::kSource) return Likelihood::kUnseen;
    switch (condition.kind) {
      case RuleCondition::Kind::kSource: return condition.set.empty() ? SourceIn(condition.addresses) : SourceInSet(rule, condition);
      case RuleCondition::Kind::kFamily: return number(key_.source.family == Family::kIpv4 ? kNfprotoIpv4 : kNfprotoIpv6);
      case RuleCondition::Kind::kProtocol: return number(key_.protocol);
      case RuleCondition::Kind::kDestinationPort:
        return key_.destination_port == 0 ? Likelihood::kUnseen : number(key_.destination_port);
      case RuleCondition::Kind::kInInterface: return Interface(condition, interfaces_.in, key_.in_interface);
      case RuleCondition::Kind::kOutInterface: return Interface(condition, interfaces_.out, key_.out_interface);
      case RuleCondition::Kind::kInInterfaceIndex: return key_.in_interface == 0 ? Likelihood::kUnseen : number(key_.in_interface);
      case RuleCondition::Kind::kOutInterfaceIndex: return key_.out_interface == 0 ? Likelihood::kUnseen : number(key_.out_interface);
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
    return Known(std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& range) { return range.Contains(key_.source); }));
  }

  // Of sets that packets fill, or programs without a new generation of the rules, it is known what was in them before the packet and after it.
  Likelihood SourceInSet(const Rule& rule, const RuleCondition& condition) const {
    const RuleSet* then = FindSet(rule, condition, before_.sets.get(), sets_.ipsets_before());
    const RuleSet* now = FindSet(rule, condition, after_.sets.get(), sets_.ipsets_after());
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
  const RulesetSnapshot& before_;
  const RulesetSnapshot& after_;
  SourcesInSets& sets_;
  std::vector<Candidate>& candidates_;
};

}  // namespace

DropAttributor::DropAttributor(const RuleSnapshot& before, const RuleSnapshot& after)
    : before_(before), after_(after), sets_(std::make_unique<SourcesInSets>(before, after)) {}
DropAttributor::~DropAttributor() = default;

DropAttribution DropAttributor::Of(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets) {
  std::vector<Walk::Candidate> candidates;
  for (const auto& [backend, now] : after_.backends) {
    if (!now.present || !now.ruleset || now.ruleset->chains.empty()) continue;
    const auto then = before_.backends.find(backend);
    const bool same = now.success && then != before_.backends.end() && then->second.present && then->second.ruleset == now.ruleset;
    if (!same) return {};
    Walk(key, interfaces, then->second, now, *sets_, candidates).AllChains();
  }
  if (candidates.empty()) return {.rule = {}, .may_follow = true};
  const Walk::Candidate& first = candidates.front();
  if (candidates.size() > 1 || first.rule == nullptr || first.match < Likelihood::kUnseen) return {};
  if (first.rose < packets) return {.rule = {}, .may_follow = true};
  return {.rule = first.rule->text, .may_follow = false};
}

}  // namespace conntally
