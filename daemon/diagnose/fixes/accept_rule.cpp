#include "daemon/diagnose/fixes/accept_rule.h"

#include <netinet/in.h>

#include <linux/netfilter.h>  // after netinet/in.h
#include <algorithm>
#include <optional>
#include <utility>

#include "collectors/tally/protocol_names.h"
#include "daemon/diagnose/fixes/firewall_commands.h"

namespace conntally::diagnose {
namespace {

using Kind = RuleCondition::Kind;
using Conditions = std::vector<RuleCondition>;

Error Refuse(const std::string& why) { return {why}; }

RuleCondition Of(Kind kind, NumberRange numbers) {
  RuleCondition condition;
  condition.kind = kind;
  condition.numbers = {numbers};
  return condition;
}

RuleCondition Of(Kind kind, const IpAddress& address) {
  RuleCondition condition;
  condition.kind = kind;
  condition.addresses = {{address, address}};
  return condition;
}

RuleCondition Of(Kind kind, const PacketInterface& interface) {
  RuleCondition condition;
  condition.kind = kind;
  condition.interfaces = {interface.name};
  return condition;
}

std::uint32_t FamilyNumber(Family family) { return family == Family::kIpv6 ? NFPROTO_IPV6 : NFPROTO_IPV4; }
bool IsOne(const std::optional<NumberRange>& range) { return range && range->first == range->last; }
bool IsKnown(const std::optional<PacketInterface>& interface) { return interface && CanNameLink(interface->name); }
bool IsIcmp(std::uint8_t protocol) { return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6; }

bool ComesBy(const std::string& hook) { return hook != "output" && hook != "postrouting" && hook != "egress"; }
bool LeavesBy(const std::string& hook) { return hook != "prerouting" && hook != "input" && hook != "ingress"; }

// The bits that any of the condition's values compares.
std::uint32_t MaskOf(const RuleCondition& condition) {
  std::uint32_t mask = 0;
  for (const NumberRange& one : condition.numbers) mask |= one.last;
  return mask;
}

class Narrowing {
 public:
  Narrowing(const std::string& hook, const Packet& packet) : hook_(hook), packet_(packet) {}

  void Add(RuleCondition condition) {
    const bool there = std::any_of(conditions_.begin(), conditions_.end(), [&](const RuleCondition& each) {
      return each.kind == condition.kind && each.negated == condition.negated && each.numbers == condition.numbers &&
             each.addresses == condition.addresses && each.interfaces == condition.interfaces;
    });
    if (!there) conditions_.push_back(std::move(condition));
  }
  bool Has(Kind kind) const {
    return std::any_of(conditions_.begin(), conditions_.end(),
                       [&](const RuleCondition& each) { return each.kind == kind; });
  }

  // Adds what is known of the packet, whatever the rule tests.
  void AddPacket(AskedBy asked_by) {
    if (packet_.source) Add(Of(Kind::kSource, *packet_.source));
    const bool all_come_here = hook_ == "input" && asked_by == AskedBy::kItsHook;
    if (packet_.destination && (packet_.destination_is_local == false || !all_come_here))
      Add(Of(Kind::kDestination, *packet_.destination));
    // What is asked at another port or address is not to get in at this one.
    if (packet_.status && (*packet_.status & kStatusDestinationNat) != 0)
      Add(Of(Kind::kConntrackStatus, NumberRange{kStatusDestinationNat, kStatusDestinationNat}));
    if (ComesBy(hook_) && IsKnown(packet_.in)) Add(Of(Kind::kInInterface, *packet_.in));
    if (!packet_.protocol) return;
    AddProtocol();
    if (IsIcmp(*packet_.protocol) && packet_.icmp_type)
      Add(Of(Kind::kIcmpType, NumberRange{*packet_.icmp_type, *packet_.icmp_type}));
    if (!HasPorts(*packet_.protocol)) return;
    if (IsOne(packet_.source_port)) Add(Of(Kind::kSourcePort, *packet_.source_port));
    if (IsOne(packet_.destination_port)) Add(Of(Kind::kDestinationPort, *packet_.destination_port));
  }

  // Adds the packet's own value for the condition; false: unknown.
  bool AddOwn(const RuleCondition& asked) {
    switch (asked.kind) {
      case Kind::kFamily: return AddNumber(asked.kind, std::optional(FamilyNumber(packet_.family)));
      case Kind::kSourceType:
      case Kind::kSource: return AddAddress(Kind::kSource, packet_.source);
      case Kind::kDestinationType:
      case Kind::kDestination: return AddAddress(Kind::kDestination, packet_.destination);
      case Kind::kProtocol: return AddProtocol();
      case Kind::kSourcePort: return AddPort(Kind::kSourcePort, packet_.source_port);
      case Kind::kDestinationPort: return AddPort(Kind::kDestinationPort, packet_.destination_port);
      case Kind::kInInterface:
      case Kind::kInInterfaceIndex: return ComesBy(hook_) && AddInterface(Kind::kInInterface, packet_.in);
      case Kind::kOutInterface:
      case Kind::kOutInterfaceIndex: return LeavesBy(hook_) && AddInterface(Kind::kOutInterface, packet_.out);
      case Kind::kConntrackState:
        return Add(Of(Kind::kConntrackState, NumberRange{packet_.state, packet_.state})), true;
      case Kind::kIcmpType: return AddNumber(Kind::kIcmpType, packet_.icmp_type);
      case Kind::kIcmpCode: return AddNumber(Kind::kIcmpCode, packet_.icmp_code);
      case Kind::kTcpFlags: return AddMasked(asked, packet_.tcp_flags) && AddProtocol();
      case Kind::kMark: return AddMasked(asked, packet_.mark);
      case Kind::kConntrackStatus: return AddStatus(asked);
      case Kind::kTuple:
        return std::all_of(asked.alternatives.begin(), asked.alternatives.end(), [this](const Conditions& parts) {
          return std::all_of(parts.begin(), parts.end(), [this](const RuleCondition& part) { return AddOwn(part); });
        });
      case Kind::kPacketType:
      case Kind::kReversePath: return false;
    }
    return false;
  }

  // Copies the rule's condition, if the tools can express it.
  bool Copy(const RuleCondition& asked) {
    const bool has_words = asked.kind == Kind::kProtocol || asked.kind == Kind::kSourcePort ||
                           asked.kind == Kind::kDestinationPort || asked.kind == Kind::kInInterface ||
                           asked.kind == Kind::kOutInterface || asked.kind == Kind::kIcmpType ||
                           asked.kind == Kind::kTcpFlags || asked.kind == Kind::kMark ||
                           asked.kind == Kind::kPacketType || asked.kind == Kind::kConntrackState;
    if (!has_words || !asked.set.empty()) return false;
    Add(asked);
    return true;
  }

  Conditions Take() { return std::move(conditions_); }

 private:
  bool AddAddress(Kind kind, const std::optional<IpAddress>& address) {
    if (address) Add(Of(kind, *address));
    return address.has_value();
  }
  bool AddInterface(Kind kind, const std::optional<PacketInterface>& interface) {
    if (IsKnown(interface)) Add(Of(kind, *interface));
    return IsKnown(interface);
  }
  template <typename T>
  bool AddNumber(Kind kind, const std::optional<T>& number) {
    if (number) Add(Of(kind, NumberRange{*number, *number}));
    return number.has_value();
  }
  bool AddProtocol() { return AddNumber(Kind::kProtocol, packet_.protocol); }
  bool AddPort(Kind kind, const std::optional<NumberRange>& port) {
    if (IsOne(port)) Add(Of(kind, *port));
    return IsOne(port) && AddProtocol();
  }
  template <typename T>
  bool AddMasked(const RuleCondition& asked, const std::optional<T>& number) {
    const std::uint32_t mask = MaskOf(asked);
    if (number) Add(Of(asked.kind, NumberRange{*number & mask, mask}));
    return number.has_value();
  }
  bool AddStatus(const RuleCondition& asked) {
    for (const std::uint32_t bit : {kStatusSourceNat, kStatusDestinationNat}) {
      const bool is_asked = std::any_of(asked.numbers.begin(), asked.numbers.end(),
                                        [&](const NumberRange& one) { return (one.first & bit) != 0; });
      if (!is_asked) continue;
      if (!packet_.status) return false;
      RuleCondition status = Of(Kind::kConntrackStatus, NumberRange{bit, bit});
      status.negated = (*packet_.status & bit) == 0;
      Add(std::move(status));
    }
    return std::all_of(asked.numbers.begin(), asked.numbers.end(), [](const NumberRange& one) {
      return (one.first & ~(kStatusSourceNat | kStatusDestinationNat)) == 0;
    });
  }

  const std::string& hook_;
  const Packet& packet_;
  Conditions conditions_;
};

const char* WordFor(Kind kind) {
  switch (kind) {
    case Kind::kSource:
    case Kind::kSourceType: return "the source";
    case Kind::kDestination:
    case Kind::kDestinationType: return "the destination";
    case Kind::kFamily: return "the family";
    case Kind::kProtocol: return "the protocol";
    case Kind::kSourcePort: return "the source port";
    case Kind::kDestinationPort: return "the port";
    case Kind::kInInterface:
    case Kind::kInInterfaceIndex: return "the link by which it arrives";
    case Kind::kOutInterface:
    case Kind::kOutInterfaceIndex: return "the link by which it leaves";
    case Kind::kConntrackState: return "the connection's state";
    case Kind::kConntrackStatus: return "the connection's status";
    case Kind::kIcmpType:
    case Kind::kIcmpCode: return "the kind of ICMP";
    case Kind::kTcpFlags: return "TCP flags";
    case Kind::kMark: return "the mark";
    case Kind::kPacketType: return "the kind of packet";
    case Kind::kReversePath: return "the way back to the source";
    case Kind::kTuple: return "several things at once";
  }
  return "something";
}

enum class Prefer : std::uint8_t { kPacket, kRule };  // prefer the packet's own value, or the rule's condition

Status CounterConditions(const Rule& stops, Prefer prefer, const Packet& packet, const ConditionMatcher& matcher,
                         Narrowing& narrowing) {
  if (!stops.limits.empty()) return Refuse("the rule has a limit, which a command cannot answer for one packet");
  const bool understood = stops.map.empty() ? stops.fully_understood : stops.map_understood;
  if (!understood) return Refuse("not all that the rule asks is known");
  // A packet's own value replaces the condition only if it certainly satisfies it.
  const auto by_packet = [&](const RuleCondition& asked) {
    return matcher.Condition(stops, asked, packet).match == Match::kYes && narrowing.AddOwn(asked);
  };
  const auto answer = [&](const RuleCondition& asked) {
    return prefer == Prefer::kPacket ? by_packet(asked) || narrowing.Copy(asked)
                                     : narrowing.Copy(asked) || by_packet(asked);
  };
  for (const RuleCondition& asked : stops.conditions) {
    if (!answer(asked))
      return Refuse(std::string("the rule matches ") + WordFor(asked.kind) +
                    ", which is unknown or no command can express");
  }
  // With all fields of a verdict map's key fixed, the look-up finds the packet's own element.
  const auto is_its_own = [&](const MappedVerdict& mapped) {
    return matcher.Key(stops, mapped, packet).match == Match::kYes;
  };
  if (!stops.map.empty() && std::none_of(stops.map.begin(), stops.map.end(), is_its_own))
    return Refuse("what the rule's map says of it is not known");
  for (const MappedVerdict& mapped : stops.map) {
    for (const RuleCondition& asked : mapped.key) {
      if (!narrowing.AddOwn(asked))
        return Refuse(std::string("the rule's map looks up ") + WordFor(asked.kind) + ", which is not known");
    }
  }
  return Ok();
}

}  // namespace

Result<Conditions> AcceptOfPacket(const std::string& hook, const Rule* stops, const Packet& packet,
                                  const ConditionMatcher& matcher, AskedBy asked_by) {
  // The address names the sender; at the output hook it is always this host.
  const bool own = hook == "output" && packet.destination && packet.destination_is_local == false;
  if (!packet.source && !own) return Refuse("it is not known whose traffic it is");
  const bool one_port = IsOne(packet.destination_port) || IsOne(packet.source_port);
  if (stops == nullptr && !packet.protocol) return Refuse("it is not known which service is meant");
  if (stops == nullptr && HasPorts(*packet.protocol) && !one_port) return Refuse("it is not known which port is meant");
  Narrowing narrowing(hook, packet);
  narrowing.AddPacket(asked_by);
  if (stops != nullptr) {
    if (auto answered = CounterConditions(*stops, Prefer::kPacket, packet, matcher, narrowing); !answered)
      return answered.error();
  }
  return narrowing.Take();
}

Conditions OfLeaving(const Packet& packet, const std::string& out) {
  const std::string hook = "postrouting";
  Narrowing narrowing(hook, packet);
  narrowing.AddPacket(AskedBy::kSeveral);
  narrowing.Add(Of(Kind::kOutInterface, PacketInterface{0, out}));
  return narrowing.Take();
}

Result<Conditions> AcceptOfAnswers(const std::string& hook, const Rule* stops, const Packet& packet,
                                   const ConditionMatcher& matcher) {
  Narrowing narrowing(hook, packet);
  std::uint32_t stopped = kStateEstablished | kStateRelated;
  if (stops != nullptr) {
    Rule rest = *stops;
    std::erase_if(rest.conditions, [](const RuleCondition& each) { return each.kind == Kind::kConntrackState; });
    if (auto answered = CounterConditions(rest, Prefer::kRule, packet, matcher, narrowing); !answered)
      return answered.error();
    if (narrowing.Has(Kind::kConntrackState)) return Refuse("the rule's map looks up the connection's state");
    // A rule that tests one of the states stops only that one.
    for (const RuleCondition& state : stops->conditions) {
      if (state.kind != Kind::kConntrackState) continue;
      std::uint32_t bits = 0;
      for (const NumberRange& one : state.numbers) bits |= one.first;
      stopped &= state.negated ? ~bits : bits;
    }
    if (stopped == 0) return Refuse("the rule does not stop established connections");
  }
  // Of him who was asked about alone, if known; an error's sender is whoever is on the way.
  const bool error = packet.icmp_type && *packet.icmp_type != 0 && *packet.icmp_type != 129;
  const Kind end = packet.destination_is_local == true ? Kind::kSource : Kind::kDestination;
  const auto& address = end == Kind::kSource ? packet.source : packet.destination;
  if (address && !error && !narrowing.Has(end)) narrowing.Add(Of(end, *address));
  narrowing.Add(Of(Kind::kConntrackState, NumberRange{stopped, stopped}));
  return narrowing.Take();
}

}  // namespace conntally::diagnose
