#include "daemon/limits/limits_in_rules.h"

#include <netinet/in.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter.h>

#include <algorithm>
#include <optional>

#include "collectors/rules/walk/chain_graph.h"
#include "collectors/rules/walk/match/condition_match.h"
#include "daemon/limits/destination_changes.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;
using Conditions = CoveredConnections::Conditions;

constexpr std::size_t kExceptionsMax = 16;  // per limit
constexpr std::uint32_t kSyn = 2;

// What a condition means for a connection.
enum class Meaning {
  kTuple,       // its tuple decides the condition
  kAlways,      // its first packet satisfies it
  kNotAtFirst,  // its first packet does not
  kUndecidable,
};

struct Decided {
  Meaning meaning = Meaning::kUndecidable;
  ConnectionCondition condition = {};  // with kTuple
  bool exact = true;                   // false: it may also match other connections
};

AddressRanges Loopback() {
  return AddressRanges({RangeOf(*Prefix::Parse("127.0.0.0/8")), RangeOf(*Prefix::Parse("::1"))});
}

class LimitReader {
 public:
  LimitReader(const RuleFigures& figures, const BackendReading& snapshot, const DestinationChanges& changes,
              bool forwards)
      : ruleset_(*snapshot.ruleset),
        paths_(ruleset_),
        matcher_(snapshot, figures.ipsets.get()),
        changes_(changes),
        forwards_(forwards) {}

  // nullopt: it does not limit a source's connections.
  std::optional<LimitInRule> Read(const Rule& rule, const RuleLimit& limit) {
    const bool counts = limit.kind == RuleLimit::Kind::kConnlimit || limit.kind == RuleLimit::Kind::kNftCtCount;
    if (!counts || limit.per != RuleLimit::Per::kSource || limit.connections == 0 || !Enforces(rule, limit))
      return std::nullopt;
    const auto family = FamilyOf(rule);
    if (!family) return std::nullopt;
    found_ = {};
    found_.origin = limit.kind == RuleLimit::Kind::kConnlimit ? LimitOrigin::kConnlimit : LimitOrigin::kNft;
    found_.connections = limit.connections;
    found_.rule = rule.text;
    found_.in_doubt = !rule.fully_understood || rule.limits.size() > 1 || !rule.map.empty();
    found_.covered.family = *family;
    found_.covered.prefix = *family == Family::kIpv4 ? limit.ipv4_prefix : limit.ipv6_prefix;
    never_ = false;
    const RuleChain* chain = paths_.Find(rule.family, rule.table, rule.chain);
    if (chain == nullptr) return std::nullopt;
    Narrow(rule, rule.conditions);
    if (!Follow(*chain, chain->first_rule + rule.position) || never_) return std::nullopt;
    found_.approximate = found_.approximate || found_.in_doubt;
    return std::move(found_);
  }

 private:
  // `above 10 drop` and `upto 10 accept`, but not `above 10 log`.
  static bool Enforces(const Rule& rule, const RuleLimit& limit) {
    const bool fills_another_set = std::any_of(rule.set_updates.begin(), rule.set_updates.end(),
                                               [&](const SetUpdate& update) { return update.set != limit.set; });
    switch (rule.verdict) {
      case Verdict::kDrop:
      case Verdict::kReject: return limit.matches_above;
      case Verdict::kAccept:
      case Verdict::kReturn: return !limit.matches_above;
      case Verdict::kContinue: return limit.matches_above && fills_another_set;  // a list of sources to block
      case Verdict::kLog: return false;
      default: return true;
    }
  }

  static std::optional<Family> FamilyOf(const Rule& rule) {
    if (rule.family == RuleFamily::kIp) return Family::kIpv4;
    if (rule.family == RuleFamily::kIp6) return Family::kIpv6;
    if (rule.family != RuleFamily::kInet) return std::nullopt;
    for (const RuleCondition& condition : rule.conditions) {
      if (condition.kind != Kind::kFamily || condition.negated || condition.numbers.size() != 1) continue;
      return condition.numbers[0].first == NFPROTO_IPV4 ? Family::kIpv4 : Family::kIpv6;
    }
    return std::nullopt;
  }

  // Adds the conditions under which packets reach the rule at `index` of the chain. False if none do.
  bool Follow(const RuleChain& chain, std::size_t index) {
    Except(chain, index);
    const ChainGraph::Way way = paths_.OnlyWayTo(chain);
    const RuleChain* outermost = &chain;
    for (const ChainGraph::Entrance* entrance : way.entrances) {
      const Rule& rule = ruleset_.rules[entrance->rule];
      Narrow(rule, rule.conditions);
      if (!(rule.fully_understood || rule.map_understood) || !rule.limits.empty()) found_.in_doubt = true;
      const auto* key = entrance->mapped != nullptr ? ChainGraph::ConditionsOf(rule, *entrance->mapped) : nullptr;
      if (key != nullptr) Narrow(rule, *key);
      if (!rule.map.empty() && key == nullptr) found_.in_doubt = true;
      outermost = entrance->chain;
      Except(*outermost, entrance->rule);
    }
    // On a router, connections to it and through it pass different hooks.
    const bool of_some = forwards_ && outermost->base && (outermost->hook == "input" || outermost->hook == "forward");
    if (of_some || way.from == ChainGraph::Way::From::kSeveralChains) found_.approximate = true;
    return way.from != ChainGraph::Way::From::kNowhere;
  }

  void Narrow(const Rule& rule, const std::vector<RuleCondition>& conditions) {
    for (const RuleCondition& condition : conditions) {
      const Decided decided = Decide(rule, condition, Wants::kAtMost);
      if (decided.meaning == Meaning::kTuple) found_.covered.all.push_back(decided.condition);
      if (decided.meaning == Meaning::kUndecidable || !decided.exact) found_.in_doubt = true;
      if (decided.meaning != Meaning::kNotAtFirst) continue;
      // Never of its family; or only packets of open connections, which it counts too.
      (condition.kind == Kind::kFamily ? never_ : found_.in_doubt) = true;
    }
  }

  // Excludes the packets of earlier rules, which never reach it.
  void Except(const RuleChain& chain, std::size_t before) {
    for (std::size_t i = chain.first_rule; i < before; ++i) {
      const Rule& rule = ruleset_.rules[i];
      if (!rule.map.empty()) {
        ExceptMapped(rule);
      } else if (paths_.LetsGo(rule)) {
        ExceptAll(rule, rule.conditions, rule.fully_understood && rule.limits.empty());
      }
    }
  }

  void ExceptMapped(const Rule& rule) {
    for (const MappedVerdict& mapped : rule.map) {
      if (!paths_.LetsGo(rule, mapped)) continue;
      std::vector<RuleCondition> conditions = rule.conditions;
      const auto* key = ChainGraph::ConditionsOf(rule, mapped);
      if (key != nullptr) conditions.insert(conditions.end(), key->begin(), key->end());
      ExceptAll(rule, conditions, key != nullptr && rule.limits.empty());
    }
  }

  void ExceptAll(const Rule& rule, const std::vector<RuleCondition>& conditions, bool whole) {
    // For jumps, it is unknown here which packets return.
    if (rule.verdict == Verdict::kJump || rule.verdict == Verdict::kQueue || rule.verdict == Verdict::kNat)
      whole = false;
    Conditions exception;
    for (const RuleCondition& condition : conditions) {
      const Decided decided = Decide(rule, condition, Wants::kAtLeast);
      if (decided.meaning == Meaning::kNotAtFirst) return;  // the first packet reaches the limit, and counts
      if (decided.meaning != Meaning::kTuple) {
        whole = whole && condition.kind == Kind::kFamily;
        continue;
      }
      if (IsApart(decided.condition)) return;
      exception.push_back(decided.condition);
    }
    if (whole && found_.covered.none.size() < kExceptionsMax) {
      never_ = never_ || exception.empty();  // no packet passes it
      found_.covered.none.push_back(std::move(exception));
    } else {
      found_.in_doubt = true;
    }
  }

  // Whether no covered connection can satisfy it.
  bool IsApart(const ConnectionCondition& condition) const {
    if (condition.negated) return false;
    return std::any_of(found_.covered.all.begin(), found_.covered.all.end(), [&](const ConnectionCondition& covered) {
      if (covered.of != condition.of || covered.negated) return false;
      if (condition.numbers.empty()) return !covered.addresses.Meeting(condition.addresses);
      return std::none_of(condition.numbers.begin(), condition.numbers.end(), [&](const NumberRange& a) {
        return std::any_of(covered.numbers.begin(), covered.numbers.end(),
                           [&](const NumberRange& b) { return a.first <= b.last && b.first <= a.last; });
      });
    });
  }

  // After destination NAT the tuple may match more connections than the condition, or fewer: which of the two is
  // acceptable.
  enum class Wants : std::uint8_t { kAtMost, kAtLeast };

  Decided DestinationPorts(const RuleCondition& condition, Wants wants) const {
    using Of = ConnectionCondition::Of;
    auto asked = changes_.AskedAs(condition.numbers);
    const bool exact = changes_.KeepPorts(condition.numbers) && asked == condition.numbers;
    if (!exact && (!asked || condition.negated || wants == Wants::kAtLeast)) return {};
    return {Meaning::kTuple, {Of::kDestinationPort, condition.negated, {}, *std::move(asked)}, exact};
  }

  Decided Decide(const Rule& rule, const RuleCondition& condition, Wants wants) const {
    using Of = ConnectionCondition::Of;
    const auto numbers = [&](Of of) {
      return Decided{Meaning::kTuple, {of, condition.negated, {}, condition.numbers}};
    };
    switch (condition.kind) {
      case Kind::kSource: return Addresses(rule, condition, Of::kSource);
      case Kind::kDestination:
        return changes_.KeepAddresses(condition, wants == Wants::kAtMost) ? Addresses(rule, condition, Of::kDestination)
                                                                          : Decided{};
      case Kind::kProtocol: return numbers(Of::kProtocol);
      case Kind::kSourcePort: return numbers(Of::kSourcePort);
      case Kind::kDestinationPort: return DestinationPorts(condition, wants);
      case Kind::kInInterface:
        // Connections of this host itself have its own addresses; for others the interface is unknown.
        if (condition.interfaces == std::vector<std::string>{"lo"})
          return {Meaning::kTuple, {Of::kSource, condition.negated, Loopback(), {}}};
        break;
      default: break;
    }
    // Any other condition is decided by a connection's first packet.
    Packet first;
    first.family = found_.covered.family;
    first.tcp_flags = kSyn;
    first.status.reset();
    first.mark.reset();
    switch (matcher_.Condition(rule, condition, first).match) {
      case Match::kYes: return {Meaning::kAlways};
      case Match::kNo: return {Meaning::kNotAtFirst};
      case Match::kMaybe: break;
    }
    return {};
  }

  Decided Addresses(const Rule& rule, const RuleCondition& condition, ConnectionCondition::Of of) const {
    if (condition.set.empty())
      return {Meaning::kTuple, {of, condition.negated, AddressRanges(condition.addresses), {}}};
    const AddressSet* set = matcher_.SetOf(rule, condition);
    if (set == nullptr || !set->complete) return {};
    std::vector<AddressRange> ranges;
    for (const SetElement& element : set->elements) {
      if (element.no_match) return {};
      ranges.push_back(element.addresses);
    }
    return {Meaning::kTuple, {of, condition.negated, AddressRanges(std::move(ranges)), {}}};
  }

  const Ruleset& ruleset_;
  const ChainGraph paths_;
  const ConditionMatcher matcher_;
  const DestinationChanges& changes_;
  const bool forwards_;
  LimitInRule found_;
  bool never_ = false;
};

}  // namespace

bool LimitInRule::Concerns(const AddressRange& sources) const {
  if (sources.first.family != covered.family) return false;
  using Of = ConnectionCondition::Of;
  const auto all_satisfy = [&](const ConnectionCondition& condition) {
    return condition.of == Of::kSource &&
           (condition.negated ? !condition.addresses.Meeting(sources) : condition.addresses.Holding(sources));
  };
  for (const ConnectionCondition& condition : covered.all) {
    if (condition.of != Of::kSource) continue;
    if (condition.negated ? condition.addresses.Holding(sources) : !condition.addresses.Meeting(sources)) return false;
  }
  return std::none_of(covered.none.begin(), covered.none.end(), [&](const Conditions& exception) {
    return std::all_of(exception.begin(), exception.end(), all_satisfy);
  });
}

LimitsInRules FindLimits(const RuleFigures& rules, bool forwards) {
  LimitsInRules found;
  auto covered = std::make_shared<std::vector<CoveredConnections>>();
  std::optional<DestinationChanges> changes;
  for (const auto& [backend, of_backend] : rules.backends) {
    const BackendReading& snapshot = of_backend.snapshot;
    if (!snapshot.present || !snapshot.ruleset) continue;
    const auto& all = snapshot.ruleset->rules;
    if (std::all_of(all.begin(), all.end(), [](const Rule& rule) { return rule.limits.empty(); })) continue;
    if (!changes) changes.emplace(rules);
    LimitReader reader(rules, snapshot, *changes, forwards);
    for (const Rule& rule : all) {
      for (const RuleLimit& limit : rule.limits) {
        auto read = reader.Read(rule, limit);
        if (!read) continue;
        if (found.limits.size() == LimitsInRules::kLimitsMax) {
          ++found.turned_away;
          continue;
        }
        covered->push_back(read->covered);
        found.limits.push_back(std::move(*read));
      }
    }
  }
  found.covered = std::move(covered);
  return found;
}

}  // namespace conntally
