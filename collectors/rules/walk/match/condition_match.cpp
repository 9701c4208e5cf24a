#include "collectors/rules/walk/match/condition_match.h"

#include <netinet/in.h>

#include <algorithm>
#include <optional>

#include "collectors/rules/walk/match/set_membership.h"
#include "collectors/tally/protocol_names.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

// linux/rtnetlink.h
constexpr std::uint32_t kUnicast = 1, kLocal = 2, kBroadcast = 3, kMulticast = 5;

bool AnyContains(const std::vector<NumberRange>& ranges, std::uint32_t number) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const NumberRange& range) { return range.Contains(number); });
}

template <typename T>
Answer Number(const RuleCondition& condition, const std::optional<T>& number, Why unknown) {
  if (number) return Known(AnyContains(condition.numbers, *number));
  return unknown;
}

bool IsMulticast(const IpAddress& address) {
  return address.family == Family::kIpv4 ? (address.bytes[0] & 0xf0) == 0xe0 : address.bytes[0] == 0xff;
}

bool IsBroadcast(const IpAddress& address) {
  return address.family == Family::kIpv4 &&
         std::all_of(address.bytes.begin(), address.bytes.begin() + 4, [](std::uint8_t b) { return b == 0xff; });
}

Answer Port(const RuleCondition& condition, const Packet& packet, const std::optional<NumberRange>& port, Why unknown) {
  if (packet.protocol && !HasPorts(*packet.protocol)) return Match::kNo;
  const auto covers = [](const NumberRange& range, const NumberRange& all) {
    return range.first <= all.first && all.last <= range.last;
  };
  const NumberRange possible = port.value_or(NumberRange{0, 0xffff});
  bool touched = false;
  for (const NumberRange& range : condition.numbers) {
    if (covers(range, possible)) return Match::kYes;
    touched = touched || (range.first <= possible.last && possible.first <= range.last);
  }
  if (touched) return unknown;
  return Match::kNo;
}

Answer Address(const RuleCondition& condition, const std::optional<IpAddress>& address, Family family, Why unknown) {
  if (address) {
    return Known(std::any_of(condition.addresses.begin(), condition.addresses.end(),
                             [&](const AddressRange& range) { return range.Contains(*address); }));
  }
  for (const AddressRange& range : condition.addresses) {
    const std::size_t width = AddressBits(range.first.family) / 8;
    const auto all = [&](const IpAddress& end, std::uint8_t octet) {
      return std::all_of(end.bytes.begin(), end.bytes.begin() + static_cast<std::ptrdiff_t>(width),
                         [&](std::uint8_t b) { return b == octet; });
    };
    if (range.first.family == family && all(range.first, 0) && all(range.last, 0xff)) return Match::kYes;
  }
  return unknown;
}

bool MatchesName(const std::string& pattern, const std::string& name) {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

Answer Interface(const RuleCondition& condition, const std::optional<PacketInterface>& interface, Why unknown) {
  if (!interface) return unknown;
  return Known(std::any_of(condition.interfaces.begin(), condition.interfaces.end(),
                           [&](const std::string& pattern) { return MatchesName(pattern, interface->name); }));
}

Answer InterfaceIndex(const RuleCondition& condition, const std::optional<PacketInterface>& interface, Why unknown) {
  if (!interface) return unknown;
  return Known(AnyContains(condition.numbers, interface->index));
}

// `possible`: exactly one of these bits is set.
Answer State(const RuleCondition& condition, std::uint32_t possible) {
  std::uint32_t asked = 0;
  for (const NumberRange& range : condition.numbers) asked |= range.first;
  if ((asked & possible) == 0) return Match::kNo;
  if ((possible & ~asked) == 0) return Match::kYes;
  return Why::kState;
}

// For numbers that are a value and a mask.
template <typename T>
Answer Masked(const RuleCondition& condition, const std::optional<T>& number, Why unknown) {
  if (!number) return unknown;
  return Known(std::any_of(condition.numbers.begin(), condition.numbers.end(),
                           [&](const NumberRange& one) { return (*number & one.last) == one.first; }));
}

Answer ConntrackStatus(const RuleCondition& condition, const std::optional<std::uint32_t>& status) {
  constexpr std::uint32_t kKnown = kStatusSourceNat | kStatusDestinationNat;
  const bool known = std::all_of(condition.numbers.begin(), condition.numbers.end(),
                                 [](const NumberRange& range) { return (range.first & ~kKnown) == 0; });
  if (!known || !status) return Why::kStatus;
  return Known(std::any_of(condition.numbers.begin(), condition.numbers.end(),
                           [&](const NumberRange& range) { return (range.first & *status) != 0; }));
}

Answer AddressType(const RuleCondition& condition, const std::optional<IpAddress>& address,
                   const std::optional<bool>& is_local) {
  if (address && IsMulticast(*address)) return Known(AnyContains(condition.numbers, kMulticast));
  if (address && IsBroadcast(*address)) return Known(AnyContains(condition.numbers, kBroadcast));
  if (!is_local) return Why::kAddressType;
  return Known(AnyContains(condition.numbers, *is_local ? kLocal : kUnicast));
}

Answer PacketType(const RuleCondition& condition, const Packet& packet) {
  constexpr std::uint32_t kHost = 0, kToAll = 1, kToSome = 2;
  if (packet.destination && IsBroadcast(*packet.destination)) return Known(AnyContains(condition.numbers, kToAll));
  if (packet.destination && IsMulticast(*packet.destination)) return Known(AnyContains(condition.numbers, kToSome));
  if (!packet.destination && packet.destination_is_local != true) return Why::kPacketType;
  return Known(AnyContains(condition.numbers, kHost));
}

}  // namespace

ConditionMatcher::ConditionMatcher(const FirewallReading& reading, const FirewallReading* before)
    : sets_(SetsOf(reading)), between_(before != nullptr) {
  if (between_) sets_before_ = SetsOf(*before);
}

ConditionMatcher::ConditionMatcher(const BackendReading& reading, const std::vector<AddressSet>* ipsets) {
  Add(reading.sets.get(), sets_);
  Add(ipsets, sets_);
}

ConditionMatcher::Sets ConditionMatcher::SetsOf(const FirewallReading& reading) {
  Sets sets;
  for (const auto& [backend, one] : reading.backends) Add(one.sets.get(), sets);
  Add(reading.ipsets.get(), sets);
  return sets;
}

void ConditionMatcher::Add(const std::vector<AddressSet>* from, Sets& sets) {
  if (from == nullptr) return;
  for (const AddressSet& set : *from) {
    const SetKey key =
        set.ipset ? SetKey{true, RuleFamily::kIp, {}, set.name} : SetKey{false, set.family, set.table, set.name};
    sets[key] = &set;
  }
}

ConditionMatcher::SetKey ConditionMatcher::KeyOf(const Rule& rule, const RuleCondition& condition) {
  if (condition.ipset) return {true, RuleFamily::kIp, {}, condition.set};
  return {false, rule.family, rule.table, condition.set};
}

const AddressSet* ConditionMatcher::SetOf(const Rule& rule, const RuleCondition& condition) const {
  const auto found = sets_.find(KeyOf(rule, condition));
  return found != sets_.end() ? found->second : nullptr;
}

Answer ConditionMatcher::Conditions(const Rule& rule, const Packet& packet) const {
  Answer all;
  for (const RuleCondition& condition : rule.conditions) {
    all = Both(all, Condition(rule, condition, packet));
    if (all.match == Match::kNo) return all;
  }
  const bool only_the_map = !rule.map.empty() && rule.not_understood.empty();
  if (rule.fully_understood || rule.map_understood || only_the_map) return all;
  return Both(all, Why::kUndecoded);
}

Answer ConditionMatcher::Key(const Rule& rule, const MappedVerdict& mapped, const Packet& packet) const {
  if (mapped.key.empty()) return Why::kMapKeyUndecoded;
  Answer all;
  for (const RuleCondition& condition : mapped.key) all = Both(all, Condition(rule, condition, packet));
  const bool may_differ = mapped.may_be_gone || !rule.map_understood;
  return between_ && may_differ ? Both(all, Why::kElementMayBeGone) : all;
}

Answer ConditionMatcher::Condition(const Rule& rule, const RuleCondition& condition, const Packet& packet) const {
  const Answer holds = Holds(rule, condition, packet);
  return condition.negated ? Not(holds) : holds;
}

Answer ConditionMatcher::Holds(const Rule& rule, const RuleCondition& condition, const Packet& packet) const {
  const bool icmp = !packet.protocol || *packet.protocol == IPPROTO_ICMP || *packet.protocol == IPPROTO_ICMPV6;
  const bool tcp = !packet.protocol || *packet.protocol == IPPROTO_TCP;
  switch (condition.kind) {
    case Kind::kSource:
      if (!condition.set.empty()) return InSet(rule, condition, packet.source, Why::kSource);
      return Address(condition, packet.source, packet.family, Why::kSource);
    case Kind::kDestination:
      if (!condition.set.empty()) return InSet(rule, condition, packet.destination, Why::kDestination);
      return Address(condition, packet.destination, packet.family, Why::kDestination);
    case Kind::kFamily: return Known(AnyContains(condition.numbers, packet.family == Family::kIpv4 ? 2U : 10U));
    case Kind::kProtocol: return Number(condition, packet.protocol, Why::kProtocol);
    case Kind::kSourcePort: return Port(condition, packet, packet.source_port, Why::kSourcePort);
    case Kind::kDestinationPort: return Port(condition, packet, packet.destination_port, Why::kDestinationPort);
    case Kind::kInInterface: return Interface(condition, packet.in, Why::kWayIn);
    case Kind::kOutInterface: return Interface(condition, packet.out, Why::kWayOut);
    case Kind::kInInterfaceIndex: return InterfaceIndex(condition, packet.in, Why::kWayIn);
    case Kind::kOutInterfaceIndex: return InterfaceIndex(condition, packet.out, Why::kWayOut);
    case Kind::kConntrackState: return State(condition, packet.state);
    case Kind::kConntrackStatus: return ConntrackStatus(condition, packet.status);
    case Kind::kIcmpType: return icmp ? Number(condition, packet.icmp_type, Why::kIcmpType) : Match::kNo;
    case Kind::kIcmpCode: return icmp ? Number(condition, packet.icmp_code, Why::kIcmpCode) : Match::kNo;
    case Kind::kTcpFlags: return tcp ? Masked(condition, packet.tcp_flags, Why::kTcpFlags) : Match::kNo;
    case Kind::kMark: return Masked(condition, packet.mark, Why::kMark);
    case Kind::kSourceType: return AddressType(condition, packet.source, packet.source_is_local);
    case Kind::kDestinationType: return AddressType(condition, packet.destination, packet.destination_is_local);
    case Kind::kPacketType: return PacketType(condition, packet);
    case Kind::kReversePath:
      if (!packet.reverse_path) return Why::kReversePath;
      return Known(*packet.reverse_path == AnyContains(condition.numbers, 1));
    case Kind::kTuple: break;
  }
  Answer any = Match::kNo;
  for (const auto& alternative : condition.alternatives) {
    Answer all = alternative.empty() ? Answer(Why::kSetKeyUndecoded) : Match::kYes;
    for (const RuleCondition& part : alternative) all = Both(all, Condition(rule, part, packet));
    any = Either(any, all);
  }
  return any;
}

Match ConditionMatcher::MembershipIn(const AddressSet& set, const IpAddress& address) const {
  return memberships_.try_emplace(&set, set).first->second.Of(address);
}

Answer ConditionMatcher::InSet(const Rule& rule, const RuleCondition& condition,
                               const std::optional<IpAddress>& address, Why unknown) const {
  const AddressSet* set = SetOf(rule, condition);
  if (set == nullptr) return {Why::kSetUnread, &condition};
  if (!address) {
    if (set->complete && set->elements.empty() && !between_) return Match::kNo;
    return unknown;
  }
  const Match holds = MembershipIn(*set, *address);
  if (holds == Match::kMaybe) return {Why::kSetNotWhole, &condition};
  if (!between_) return holds;
  const auto then = sets_before_.find(KeyOf(rule, condition));
  if (then == sets_before_.end()) return {Why::kSetUnread, &condition};
  if (MembershipIn(*then->second, *address) != holds) return {Why::kSetChanged, &condition};
  if (!set->ipset && !set->dynamic) return holds;
  if (holds == Match::kNo) return {Why::kHeldNeither, &condition};
  if (set->expires) return {Why::kHeldBoth, &condition};
  return Match::kYes;
}

}  // namespace conntally
