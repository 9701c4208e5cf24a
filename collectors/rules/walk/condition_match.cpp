#include "collectors/rules/walk/condition_match.h"

#include <netinet/in.h>

#include <algorithm>
#include <optional>

#include "collectors/rules/walk/set_membership.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

// linux/rtnetlink.h
constexpr std::uint32_t kUnicast = 1, kLocal = 2, kBroadcast = 3, kMulticast = 5;

Match Unknown(std::string& why, const char* what) {
  why = what;
  return Match::kMaybe;
}

bool AnyContains(const std::vector<NumberRange>& ranges, std::uint32_t number) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const NumberRange& range) { return range.Contains(number); });
}

template <typename T>
Match Number(const RuleCondition& condition, const std::optional<T>& number, std::string& why, const char* what) {
  return number ? Known(AnyContains(condition.numbers, *number)) : Unknown(why, what);
}

bool IsMulticast(const IpAddress& address) {
  return address.family == Family::kIpv4 ? (address.bytes[0] & 0xf0) == 0xe0 : address.bytes[0] == 0xff;
}

bool IsBroadcast(const IpAddress& address) {
  return address.family == Family::kIpv4 &&
         std::all_of(address.bytes.begin(), address.bytes.begin() + 4, [](std::uint8_t b) { return b == 0xff; });
}

bool HasPorts(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
         protocol == IPPROTO_UDPLITE;
}

Match Port(const RuleCondition& condition, const Packet& packet, const std::optional<NumberRange>& port,
           std::string& why, const char* what) {
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
  return touched ? Unknown(why, what) : Match::kNo;
}

Match Address(const RuleCondition& condition, const std::optional<IpAddress>& address, Family family, std::string& why,
              const char* what) {
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
  return Unknown(why, what);
}

bool MatchesName(const std::string& pattern, const std::string& name) {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

Match Interface(const RuleCondition& condition, const std::optional<PacketInterface>& interface, std::string& why,
                const char* what) {
  if (!interface) return Unknown(why, what);
  return Known(std::any_of(condition.interfaces.begin(), condition.interfaces.end(),
                           [&](const std::string& pattern) { return MatchesName(pattern, interface->name); }));
}

Match InterfaceIndex(const RuleCondition& condition, const std::optional<PacketInterface>& interface, std::string& why,
                     const char* what) {
  return interface ? Known(AnyContains(condition.numbers, interface->index)) : Unknown(why, what);
}

Match AnyBit(const RuleCondition& condition, std::uint32_t bits) {
  return Known(std::any_of(condition.numbers.begin(), condition.numbers.end(),
                           [&](const NumberRange& range) { return (range.first & bits) != 0; }));
}

// Numbers that are a value and a mask.
Match Masked(const RuleCondition& condition, std::uint32_t number) {
  return Known(std::any_of(condition.numbers.begin(), condition.numbers.end(),
                           [&](const NumberRange& one) { return (number & one.last) == one.first; }));
}

Match Status(const RuleCondition& condition, const std::optional<std::uint32_t>& status, std::string& why) {
  constexpr std::uint32_t kKnown = kStatusSourceNat | kStatusDestinationNat;
  const bool known = std::all_of(condition.numbers.begin(), condition.numbers.end(),
                                 [](const NumberRange& range) { return (range.first & ~kKnown) == 0; });
  if (!known || !status) return Unknown(why, "the connection's status is not known");
  return AnyBit(condition, *status);
}

Match AddressType(const RuleCondition& condition, const std::optional<IpAddress>& address,
                  const std::optional<bool>& is_local, std::string& why) {
  if (address && IsMulticast(*address)) return Known(AnyContains(condition.numbers, kMulticast));
  if (address && IsBroadcast(*address)) return Known(AnyContains(condition.numbers, kBroadcast));
  if (!is_local) return Unknown(why, "the kind of address is not known");
  return Known(AnyContains(condition.numbers, *is_local ? kLocal : kUnicast));
}

Match PacketType(const RuleCondition& condition, const Packet& packet) {
  constexpr std::uint32_t kHost = 0, kToAll = 1, kToSome = 2;
  if (packet.destination && IsBroadcast(*packet.destination)) return Known(AnyContains(condition.numbers, kToAll));
  if (packet.destination && IsMulticast(*packet.destination)) return Known(AnyContains(condition.numbers, kToSome));
  return Known(AnyContains(condition.numbers, kHost));
}

}  // namespace

ConditionMatcher::ConditionMatcher(const FirewallReading& snapshot) {
  for (const auto& [backend, one] : snapshot.backends) {
    if (!one.sets) continue;
    for (const AddressSet& set : *one.sets) sets_[{set.ipset, set.family, set.table, set.name}] = &set;
  }
  if (!snapshot.ipsets) return;
  for (const AddressSet& set : *snapshot.ipsets) sets_[{true, RuleFamily::kIp, {}, set.name}] = &set;
}

Match ConditionMatcher::Conditions(const Rule& rule, const Packet& packet, std::string& why) const {
  Match match = Match::kYes;
  for (const RuleCondition& condition : rule.conditions) {
    match = Both(match, Condition(rule, condition, packet, why));
    if (match == Match::kNo) return match;
  }
  if (rule.fully_understood || rule.map_understood) return match;
  const bool only_the_map = !rule.map.empty() && rule.not_understood.empty();
  if (only_the_map) return match;
  why = "it asks what is not decoded (" +
        (rule.not_understood.empty() ? std::string("a part of it") : rule.not_understood) + ")";
  return Match::kMaybe;
}

Match ConditionMatcher::Key(const Rule& rule, const MappedVerdict& mapped, const Packet& packet,
                            std::string& why) const {
  if (mapped.key.empty()) return Unknown(why, "its map's key is not decoded");
  Match match = Match::kYes;
  for (const RuleCondition& condition : mapped.key) match = Both(match, Condition(rule, condition, packet, why));
  return match;
}

Match ConditionMatcher::Condition(const Rule& rule, const RuleCondition& condition, const Packet& packet,
                                  std::string& why) const {
  const Match holds = Holds(rule, condition, packet, why);
  return condition.negated ? Not(holds) : holds;
}

Match ConditionMatcher::Holds(const Rule& rule, const RuleCondition& condition, const Packet& packet,
                              std::string& why) const {
  const bool icmp = !packet.protocol || *packet.protocol == IPPROTO_ICMP || *packet.protocol == IPPROTO_ICMPV6;
  switch (condition.kind) {
    case Kind::kSource:
      if (!condition.set.empty()) return InSet(rule, condition, packet.source, why);
      return Address(condition, packet.source, packet.family, why, "the source is not known");
    case Kind::kDestination:
      if (!condition.set.empty()) return InSet(rule, condition, packet.destination, why);
      return Address(condition, packet.destination, packet.family, why, "the destination is not known");
    case Kind::kFamily: return Known(AnyContains(condition.numbers, packet.family == Family::kIpv4 ? 2U : 10U));
    case Kind::kProtocol: return Number(condition, packet.protocol, why, "the protocol is not known");
    case Kind::kSourcePort: return Port(condition, packet, packet.source_port, why, "the source port is not known");
    case Kind::kDestinationPort:
      return Port(condition, packet, packet.destination_port, why, "the destination port is not known");
    case Kind::kInInterface:
      return Interface(condition, packet.in, why, "the interface that it arrives by is not known");
    case Kind::kOutInterface:
      return Interface(condition, packet.out, why, "the interface that it leaves by is not known");
    case Kind::kInInterfaceIndex:
      return InterfaceIndex(condition, packet.in, why, "the interface that it arrives by is not known");
    case Kind::kOutInterfaceIndex:
      return InterfaceIndex(condition, packet.out, why, "the interface that it leaves by is not known");
    case Kind::kConntrackState: return AnyBit(condition, packet.state);
    case Kind::kConntrackStatus: return Status(condition, packet.status, why);
    case Kind::kIcmpType:
      return icmp ? Number(condition, packet.icmp_type, why, "the ICMP type is not known") : Match::kNo;
    case Kind::kIcmpCode:
      return icmp ? Number(condition, packet.icmp_code, why, "the ICMP code is not known") : Match::kNo;
    case Kind::kTcpFlags:
      if (packet.protocol && *packet.protocol != IPPROTO_TCP) return Match::kNo;
      return packet.tcp_flags ? Masked(condition, *packet.tcp_flags) : Unknown(why, "the TCP flags are not known");
    case Kind::kMark:
      return packet.mark ? Masked(condition, *packet.mark) : Unknown(why, "the packet's mark is not known");
    case Kind::kSourceType: return AddressType(condition, packet.source, packet.source_is_local, why);
    case Kind::kDestinationType: return AddressType(condition, packet.destination, packet.destination_is_local, why);
    case Kind::kPacketType: return PacketType(condition, packet);
    case Kind::kReversePath:
      return packet.reverse_path ? Known(*packet.reverse_path == AnyContains(condition.numbers, 1))
                                 : Unknown(why, "the way back is not known");
    case Kind::kTuple: break;
  }
  Match any = Match::kNo;
  for (const auto& alternative : condition.alternatives) {
    Match all = alternative.empty() ? Unknown(why, "a set's key is not decoded") : Match::kYes;
    for (const RuleCondition& part : alternative) all = Both(all, Condition(rule, part, packet, why));
    any = Either(any, all);
  }
  return any;
}

Match ConditionMatcher::InSet(const Rule& rule, const RuleCondition& condition, const std::optional<IpAddress>& address,
                              std::string& why) const {
  const auto found = condition.ipset ? sets_.find({true, RuleFamily::kIp, {}, condition.set})
                                     : sets_.find({false, rule.family, rule.table, condition.set});
  if (found == sets_.end()) {
    why = "the set " + condition.set + " could not be read";
    return Match::kMaybe;
  }
  const AddressSet& set = *found->second;
  if (!address) {
    if (set.complete && set.elements.empty()) return Match::kNo;
    return Unknown(why, condition.kind == Kind::kSource ? "the source is not known" : "the destination is not known");
  }
  const Match membership = MembershipOf(*address, set);
  if (membership == Match::kMaybe) why = "the set " + condition.set + " could not be read whole";
  return membership;
}

}  // namespace conntally
