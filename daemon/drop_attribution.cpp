#include "daemon/drop_attribution.h"

#include <algorithm>
#include <array>
#include <vector>

namespace conntally {
namespace {

constexpr int kJumpsMax = 16;  // NFT_JUMP_STACK_SIZE
constexpr std::uint32_t kNfprotoIpv4 = 2;
constexpr std::uint32_t kNfprotoIpv6 = 10;

enum class Match { kNo, kMaybe, kYes };

Match Both(Match a, Match b) { return std::min(a, b); }
Match Known(bool holds) { return holds ? Match::kYes : Match::kNo; }
Match Not(Match match) { return match == Match::kYes ? Match::kNo : match == Match::kNo ? Match::kYes : match; }

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

// One packet's way through one backend's chains.
class Walk {
 public:
  struct Candidate {
    const Rule* rule = nullptr;  // null: a policy, or a verdict that cannot be told
    Match match = Match::kMaybe;
    std::uint64_t rose = 0;
  };

  Walk(const DropKey& key, const DropInterfaces& interfaces, const RulesetSnapshot& before, const RulesetSnapshot& after,
       std::vector<Candidate>& candidates)
      : key_(key), interfaces_(interfaces), before_(before), after_(after), candidates_(candidates) {}

  void AllChains() {
    for (std::size_t i = 0; i < after_.ruleset->chains.size(); ++i) {
      const RuleChain& chain = after_.ruleset->chains[i];
      if (!chain.base || !IsOfFamily(chain.family, key_.source) || !key_.hooks.Meets(HookOf(chain))) continue;
      const bool ended = Chain(chain, Match::kYes, 0) == Outcome::kEnds;
      if (ended || chain.policy != Verdict::kDrop) continue;
      const bool counted = chain.has_policy_counter && before_.policies[i] && after_.policies[i];
      if (counted && *before_.policies[i] == *after_.policies[i]) continue;
      candidates_.push_back({});
    }
  }

 private:
  enum class Outcome { kGoesOn, kEnds };

  Outcome Chain(const RuleChain& chain, Match reached, int depth) {
    for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
      const Rule& rule = after_.ruleset->rules[i];
      const Match match = Both(reached, MatchOf(rule));
      if (match == Match::kNo) continue;
      if (Take(rule, i, match, depth) == Outcome::kGoesOn) continue;
      // A return ends this chain alone.
      return rule.verdict == Verdict::kReturn && depth > 0 ? Outcome::kGoesOn : Outcome::kEnds;
    }
    return Outcome::kGoesOn;
  }

  Outcome Take(const Rule& rule, std::size_t index, Match match, int depth) {
    const Outcome ends = match == Match::kYes ? Outcome::kEnds : Outcome::kGoesOn;
    switch (rule.verdict) {
      case Verdict::kDrop:
      case Verdict::kReject:
        AddDrop(rule, index, match);
        return ends;
      case Verdict::kAccept:
      case Verdict::kReturn: return ends;
      case Verdict::kJump:
      case Verdict::kGoto: {
        const RuleChain* target = Find(rule);
        if (target == nullptr || depth >= kJumpsMax) {
          candidates_.push_back({});
          return Outcome::kGoesOn;
        }
        const Outcome inside = Chain(*target, match, depth + 1);
        return match == Match::kYes && (rule.verdict == Verdict::kGoto || inside == Outcome::kEnds) ? Outcome::kEnds
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

  void AddDrop(const Rule& rule, std::size_t index, Match match) {
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

  const RuleChain* Find(const Rule& rule) const {
    const auto found = std::find_if(after_.ruleset->chains.begin(), after_.ruleset->chains.end(), [&](const RuleChain& chain) {
      return chain.family == rule.family && chain.table == rule.table && chain.name == rule.jump_target;
    });
    return found != after_.ruleset->chains.end() ? &*found : nullptr;
  }

  Match MatchOf(const Rule& rule) const {
    Match match = rule.fully_understood && rule.limits.empty() ? Match::kYes : Match::kMaybe;
    for (const RuleCondition& condition : rule.conditions) {
      const Match holds = Holds(rule, condition);
      match = Both(match, condition.negated ? Not(holds) : holds);
    }
    return match;
  }

  Match Holds(const Rule& rule, const RuleCondition& condition) const {
    const auto number = [&](std::uint32_t value) {
      return Known(std::any_of(condition.numbers.begin(), condition.numbers.end(),
                               [&](const NumberRange& range) { return range.Contains(value); }));
    };
    if (!condition.set.empty() && condition.kind != RuleCondition::Kind::kSource) return Match::kMaybe;
    switch (condition.kind) {
      case RuleCondition::Kind::kSource: return condition.set.empty() ? SourceIn(condition.addresses) : SourceInSet(rule, condition);
      case RuleCondition::Kind::kFamily: return number(key_.source.family == Family::kIpv4 ? kNfprotoIpv4 : kNfprotoIpv6);
      case RuleCondition::Kind::kProtocol: return number(key_.protocol);
      case RuleCondition::Kind::kDestinationPort:
        return key_.destination_port == 0 ? Match::kMaybe : number(key_.destination_port);
      case RuleCondition::Kind::kInInterface: return Interface(condition, interfaces_.in, key_.in_interface);
      case RuleCondition::Kind::kOutInterface: return Interface(condition, interfaces_.out, key_.out_interface);
      case RuleCondition::Kind::kDestination:
      case RuleCondition::Kind::kSourcePort:
      case RuleCondition::Kind::kConntrackState:
      case RuleCondition::Kind::kIcmpType:
      case RuleCondition::Kind::kTcpFlags:
      case RuleCondition::Kind::kIcmpCode:
      case RuleCondition::Kind::kInInterfaceIndex:
      case RuleCondition::Kind::kOutInterfaceIndex:
      case RuleCondition::Kind::kMark:
      case RuleCondition::Kind::kConntrackStatus:
      case RuleCondition::Kind::kSourceType:
      case RuleCondition::Kind::kDestinationType:
      case RuleCondition::Kind::kPacketType:
      case RuleCondition::Kind::kReversePath:
      case RuleCondition::Kind::kTuple: return Match::kMaybe;
    }
    return Match::kMaybe;
  }

  Match SourceIn(const std::vector<AddressRange>& ranges) const {
    return Known(std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& range) { return range.Contains(key_.source); }));
  }

  // Of sets that packets fill, and of such as are not read whole, nobody knows what was in them at that moment.
  Match SourceInSet(const Rule& rule, const RuleCondition& condition) const {
    if (!after_.sets) return Match::kMaybe;
    for (const RuleSet& set : *after_.sets) {
      if (set.ipset != condition.ipset || set.name != condition.set) continue;
      if (!set.ipset && (set.family != rule.family || set.table != rule.table)) continue;
      if (set.ipset || set.dynamic || !set.complete) return Match::kMaybe;
      return Known(std::any_of(set.elements.begin(), set.elements.end(), [&](const SetElement& element) {
        return !element.no_match && element.addresses.Contains(key_.source);
      }));
    }
    return Match::kMaybe;
  }

  static Match Interface(const RuleCondition& condition, std::string_view name, std::uint32_t index) {
    if (index != 0 && name.empty()) return Match::kMaybe;  // it is gone
    if (index == 0) return Match::kMaybe;                  // not decided when the packet was seen
    return Known(std::any_of(condition.interfaces.begin(), condition.interfaces.end(),
                             [&](const std::string& pattern) { return MatchesName(pattern, name); }));
  }

  const DropKey& key_;
  const DropInterfaces& interfaces_;
  const RulesetSnapshot& before_;
  const RulesetSnapshot& after_;
  std::vector<Candidate>& candidates_;
};

}  // namespace

DropAttribution RuleThatDropped(const DropKey& key, const DropInterfaces& interfaces, std::uint64_t packets,
                                const RuleSnapshot& before, const RuleSnapshot& after) {
  std::vector<Walk::Candidate> candidates;
  for (const auto& [backend, now] : after.backends) {
    if (!now.present || !now.ruleset || now.ruleset->chains.empty()) continue;
    const auto then = before.backends.find(backend);
    const bool same = now.success && then != before.backends.end() && then->second.present && then->second.ruleset == now.ruleset;
    if (!same) return {};
    Walk(key, interfaces, then->second, now, candidates).AllChains();
  }
  if (candidates.empty()) return {.rule = {}, .may_follow = true};
  const Walk::Candidate& first = candidates.front();
  if (candidates.size() > 1 || first.rule == nullptr || first.match != Match::kYes) return {};
  if (first.rose < packets) return {.rule = {}, .may_follow = true};
  return {.rule = first.rule->text, .may_follow = false};
}

}  // namespace conntally
