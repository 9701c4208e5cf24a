#include "collectors/nat/source_nat_rules.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

using NatKind = NatTarget::Kind;

// NETMAP may be in chains of either direction.
bool TranslatesSources(const Rule& rule, const RuleChain* base) {
  if (rule.verdict != Verdict::kNat || !rule.nat) return false;
  if (rule.nat->kind == NatKind::kSource || rule.nat->kind == NatKind::kMasquerade) return true;
  return rule.nat->kind == NatKind::kOther && base != nullptr && base->type == "nat" &&
         (base->hook == "postrouting" || base->hook == "input");
}

bool IsOfFamily(RuleFamily of, Family family) {
  return of == RuleFamily::kInet || of == (family == Family::kIpv4 ? RuleFamily::kIp : RuleFamily::kIp6);
}

NumberRange InOrder(NumberRange range) {
  return {std::min(range.first, range.last), std::max(range.first, range.last)};
}

}  // namespace

NumberRange KernelPorts(std::uint8_t protocol, std::uint16_t original_port) {
  if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) return {0, 65'535};
  if (original_port < 512) return {1, 511};
  if (original_port < 1024) return {512, 1023};
  return {1024, 65'535};
}

SourceNatRules::SourceNatRules(const std::vector<const BackendReading*>& readings,
                               const std::vector<AddressSet>* ipsets) {
  for (const BackendReading* reading : readings) {
    if (reading != nullptr && reading->ruleset) Add(*reading, ipsets);
  }
}

SourceNatRules::SourceNatRules(const FirewallReading& reading) {
  for (const auto& [backend, one] : reading.backends) {
    if (one.ruleset) Add(one, reading.ipsets.get());
  }
}

void SourceNatRules::Add(const BackendReading& reading, const std::vector<AddressSet>* ipsets) {
  const Ruleset& ruleset = *reading.ruleset;
  const auto translates = [](const Rule& rule) { return rule.verdict == Verdict::kNat; };
  if (std::none_of(ruleset.rules.begin(), ruleset.rules.end(), translates)) return;
  matchers_.push_back(std::make_unique<ConditionMatcher>(reading, ipsets));
  graphs_.push_back(std::make_unique<ChainGraph>(ruleset));
  for (const RuleChain& chain : ruleset.chains) {
    std::optional<ChainGraph::Way> way;  // computed on demand
    for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
      const Rule& rule = ruleset.rules[i];
      if (!translates(rule)) continue;
      if (!way) way = graphs_.back()->OnlyWayTo(chain);
      const bool only_way = way->from == ChainGraph::Way::From::kHook;
      const RuleChain* base = !only_way ? nullptr : way->entrances.empty() ? &chain : way->entrances.back()->chain;
      if (!TranslatesSources(rule, base)) continue;
      Offer offer;
      offer.rule = &rule;
      offer.matcher = matchers_.back().get();
      offer.ruleset = &ruleset;
      offer.chain = &chain;
      offer.always = only_way && rule.limits.empty();
      if (only_way) offer.entrances = way->entrances;
      if (rule.nat->choices.empty()) Add(offer, rule.nat->addresses, rule.nat->ports);
      for (const NatTarget::Choice& choice : rule.nat->choices) {
        offer.choice = &choice;
        Add(offer, choice.addresses, choice.ports);
      }
    }
  }
}

void SourceNatRules::Add(Offer offer, const std::optional<AddressRange>& addresses,
                         const std::optional<NumberRange>& ports) {
  offer.addresses = addresses;
  if (ports) {
    offer.ports = InOrder(*ports);
    ports_least_ = std::min(ports_least_, offer.ports->last - offer.ports->first + 1);
  }
  offers_.push_back(std::move(offer));
}

Match SourceNatRules::Matches(const Offer& offer, const Packet& packet) {
  Answer all = offer.matcher->Conditions(*offer.rule, packet);
  if (offer.choice != nullptr) {
    if (offer.choice->key.empty()) all = Both(all, Why::kMapKeyUndecoded);
    for (const RuleCondition& condition : offer.choice->key)
      all = Both(all, offer.matcher->Condition(*offer.rule, condition, packet));
  }
  for (const ChainGraph::Entrance* entrance : offer.entrances) {
    const Rule& jump = offer.ruleset->rules[entrance->rule];
    all = Both(all, offer.matcher->Conditions(jump, packet));
    if (entrance->mapped != nullptr) all = Both(all, offer.matcher->Key(jump, *entrance->mapped, packet));
  }
  return offer.always ? all.match : Both(all.match, Match::kMaybe);
}

// A port that was changed into the range of a rule speaks for the rule. One that was kept speaks for a rule without
// ports a little more than for one that would have kept it, too: the kernel changes a port of its own accord only when
// it is taken, or at random.
SourceNatRules::Score SourceNatRules::Explains(const Offer& offer, const Given& given) {
  if (!IsOfFamily(offer.rule->family, given.packet.family)) return 0;
  if (offer.addresses && !offer.addresses->Contains(given.address)) return 0;
  constexpr Score kChangedAsNamed = 3, kKept = 2, kPossible = 1;
  if (offer.ports) {
    if (!offer.ports->Contains(given.port)) return 0;
    return offer.ports->Contains(given.original_port) ? kPossible : kChangedAsNamed;
  }
  const NumberRange own = KernelPorts(given.packet.protocol.value_or(0), given.original_port);
  if (!own.Contains(given.port)) return 0;
  return given.port == given.original_port ? kKept : kPossible;
}

std::vector<NumberRange> SourceNatRules::PortsOf(std::span<const Given> connections) const {
  std::vector<std::vector<std::size_t>> fitting(connections.size());
  std::map<std::size_t, Score> explained;  // by offer
  for (std::size_t i = 0; i < connections.size(); ++i) {
    if (ports_least_ == kKernelPortsMost) break;  // no rule gives a range: any will do
    const RuleChain* settled = nullptr;           // its later rules are not consulted
    for (std::size_t each = 0; each < offers_.size(); ++each) {
      if (offers_[each].chain == settled) continue;
      const Score score = Explains(offers_[each], connections[i]);
      if (score == 0) continue;
      const Match match = Matches(offers_[each], connections[i].packet);
      if (match == Match::kNo) continue;
      fitting[i].push_back(each);
      explained[each] += score;
      if (match == Match::kYes) settled = offers_[each].chain;
    }
  }
  std::vector<NumberRange> ranges;
  for (std::size_t i = 0; i < connections.size(); ++i) {
    const auto best = std::max_element(fitting[i].begin(), fitting[i].end(), [&](std::size_t one, std::size_t other) {
      return explained.at(one) < explained.at(other);
    });
    const Given& given = connections[i];
    NumberRange range = KernelPorts(given.packet.protocol.value_or(0), given.original_port);
    if (best != fitting[i].end() && offers_[*best].ports) range = *offers_[*best].ports;
    if (std::find(ranges.begin(), ranges.end(), range) == ranges.end()) ranges.push_back(range);
  }
  return ranges;
}

}  // namespace conntally
