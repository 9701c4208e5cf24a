// The text of an accept rule's conditions for nft and iptables.
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <string_view>

#include "daemon/diagnose/fixes/accept_rule.h"
#include "daemon/diagnose/fixes/firewall_commands.h"

namespace conntally::diagnose {
namespace {

using Kind = RuleCondition::Kind;
using Conditions = std::vector<RuleCondition>;

constexpr std::size_t kPortsMax = 15;  // xt_multiport.h: a range counts as two

std::string ProtocolWord(std::uint32_t protocol, Family family) {
  switch (protocol) {
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_ICMP: return "icmp";
    case IPPROTO_ICMPV6: return family == Family::kIpv6 ? "ipv6-icmp" : "58";
    case IPPROTO_SCTP: return "sctp";
    default: return std::to_string(protocol);
  }
}

std::string Numbers(const RuleCondition& condition, const char* separator, const char* to) {
  std::string text;
  for (const NumberRange& range : condition.numbers) {
    text += (text.empty() ? "" : separator) + std::to_string(range.first);
    if (range.last != range.first) text += to + std::to_string(range.last);
  }
  return text;
}

std::string States(const RuleCondition& condition, bool for_nft) {
  struct Name {
    std::uint32_t bit;
    const char* nft;
    const char* iptables;
  };
  constexpr Name kNames[] = {{kStateEstablished, "established", "ESTABLISHED"},
                             {kStateRelated, "related", "RELATED"},
                             {kStateNew, "new", "NEW"},
                             {kStateInvalid, "invalid", "INVALID"},
                             {kStateUntracked, "untracked", "UNTRACKED"}};
  std::uint32_t bits = 0;
  for (const NumberRange& one : condition.numbers) bits |= one.first;
  std::string text;
  for (const Name& name : kNames) {
    if ((bits & name.bit) != 0) text += (text.empty() ? "" : ",") + std::string(for_nft ? name.nft : name.iptables);
  }
  return text;
}

std::string FlagNames(std::uint32_t flags) {
  constexpr const char* kNames[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"};
  std::string text;
  for (std::size_t bit = 0; bit < std::size(kNames); ++bit) {
    if ((flags >> bit & 1U) != 0) text += (text.empty() ? "" : ",") + std::string(kNames[bit]);
  }
  return text.empty() ? "NONE" : text;
}

const RuleCondition* Find(const Conditions& conditions, Kind kind) {
  const auto found =
      std::find_if(conditions.begin(), conditions.end(), [&](const RuleCondition& each) { return each.kind == kind; });
  return found == conditions.end() ? nullptr : &*found;
}

bool IsSingle(const RuleCondition* condition) {
  return condition != nullptr && !condition->negated && condition->numbers.size() == 1 &&
         condition->numbers[0].first == condition->numbers[0].last;
}

Error NoWords(const char* of) { return {std::string("there are no words for ") + of}; }

class Writer {
 public:
  Writer(const Conditions& conditions, Family family) : conditions_(conditions), family_(family) {}

  Result<std::string> Iptables() {
    for (const Kind kind : kOrder) {
      for (const RuleCondition& each : conditions_) {
        if (each.kind == kind && !AddIptables(each)) return NoWords("what the rule asks, in iptables");
      }
    }
    return std::move(text_);
  }
  Result<std::string> Nft() {
    for (const Kind kind : kOrder) {
      for (const RuleCondition& each : conditions_) {
        if (each.kind == kind && !AddNft(each)) return NoWords("what the rule asks, in nft");
      }
    }
    return std::move(text_);
  }

 private:
  // The usual order, and the one that iptables needs: a protocol before its ports.
  static constexpr Kind kOrder[] = {Kind::kFamily,          Kind::kSource,   Kind::kDestination, Kind::kInInterface,
                                    Kind::kOutInterface,    Kind::kProtocol, Kind::kSourcePort,  Kind::kDestinationPort,
                                    Kind::kIcmpType,        Kind::kIcmpCode, Kind::kTcpFlags,    Kind::kConntrackState,
                                    Kind::kConntrackStatus, Kind::kMark,     Kind::kPacketType};

  void Add(const std::string& part) { text_ += (text_.empty() ? "" : " ") + part; }
  bool has(Kind kind) const { return Find(conditions_, kind) != nullptr; }

  bool AddIptables(const RuleCondition& each) {
    const std::string no = each.negated ? "! " : "";
    const bool one = each.numbers.size() == 1;
    switch (each.kind) {
      case Kind::kFamily: return true;  // implied by the program
      case Kind::kSource: return Add("-s " + each.addresses.at(0).first.ToString()), true;
      case Kind::kDestination: return Add("-d " + each.addresses.at(0).first.ToString()), true;
      case Kind::kInInterface: return AddInterface(no + "-i ", each);
      case Kind::kOutInterface: return AddInterface(no + "-o ", each);
      case Kind::kProtocol:
        return one && each.numbers[0].first == each.numbers[0].last &&
               (Add(no + "-p " + ProtocolWord(each.numbers[0].first, family_)), true);
      case Kind::kSourcePort: return AddPorts(no, "sport", each);
      case Kind::kDestinationPort: return AddPorts(no, "dport", each);
      case Kind::kIcmpType: return AddIcmpType(no, each);
      case Kind::kIcmpCode:
        return IsSingle(&each) && IsSingle(Find(conditions_, Kind::kIcmpType));  // written with the type
      case Kind::kTcpFlags:
        return one &&
               (Add(no + "--tcp-flags " + FlagNames(each.numbers[0].last) + " " + FlagNames(each.numbers[0].first)),
                true);
      case Kind::kConntrackState: return Add("-m conntrack " + no + "--ctstate " + States(each, false)), true;
      case Kind::kConntrackStatus:
        return one && (Add("-m conntrack " + no + "--ctstate " +
                           (each.numbers[0].first == kStatusDestinationNat ? "DNAT" : "SNAT")),
                       true);
      case Kind::kMark:
        return one &&
               (Add(fmt::format("-m mark {}--mark 0x{:x}/0x{:x}", no, each.numbers[0].first, each.numbers[0].last)),
                true);
      case Kind::kPacketType:
        return one && each.numbers[0].first < 3 &&
               (Add("-m pkttype " + no + "--pkt-type " + kPacketTypes[each.numbers[0].first]), true);
      default: return false;
    }
  }

  bool AddInterface(const std::string& option, const RuleCondition& each) {
    if (each.interfaces.size() != 1) return false;
    std::string name = each.interfaces[0];
    if (!FitsNftString(name) || name.ends_with('+')) return false;
    if (name.ends_with('*')) name.back() = '+';
    Add(option + ShellWord(name));
    return true;
  }

  bool AddPorts(const std::string& no, const std::string& side, const RuleCondition& each) {
    if (!IsSingle(Find(conditions_, Kind::kProtocol))) return false;
    if (each.numbers.size() == 1) return Add(no + "--" + side + " " + Numbers(each, ",", ":")), true;
    std::size_t slots = 0;
    for (const NumberRange& range : each.numbers) slots += range.first == range.last ? 1 : 2;
    if (slots > kPortsMax) return false;
    Add("-m multiport " + no + "--" + side + "s " + Numbers(each, ",", ":"));
    return true;
  }

  bool AddIcmpType(const std::string& no, const RuleCondition& each) {
    if (each.numbers.size() != 1 || each.numbers[0].first != each.numbers[0].last) return false;
    const RuleCondition* code = Find(conditions_, Kind::kIcmpCode);
    if (code != nullptr && !IsSingle(code)) return false;
    const std::string of_code = code != nullptr ? "/" + std::to_string(code->numbers[0].first) : "";
    Add(no + (family_ == Family::kIpv6 ? "--icmpv6-type " : "--icmp-type ") + std::to_string(each.numbers[0].first) +
        of_code);
    return true;
  }

  bool AddNft(const RuleCondition& each) {
    const std::string no = each.negated ? "!= " : "", compare = each.negated ? "!=" : "==";
    const bool ipv6 = family_ == Family::kIpv6, one = each.numbers.size() == 1;
    const std::string ip = ipv6 ? "ip6" : "ip", icmp = ipv6 ? "icmpv6" : "icmp";
    switch (each.kind) {
      case Kind::kFamily: return AddNftFamily();
      case Kind::kSource: return Add(ip + " saddr " + each.addresses.at(0).first.ToString()), true;
      case Kind::kDestination: return Add(ip + " daddr " + each.addresses.at(0).first.ToString()), true;
      case Kind::kInInterface: return AddNftInterface("iifname " + no, each);
      case Kind::kOutInterface: return AddNftInterface("oifname " + no, each);
      case Kind::kProtocol: return AddNftProtocol(no, each);
      case Kind::kSourcePort: return Add(Transport() + " sport " + no + Set(each)), true;
      case Kind::kDestinationPort: return Add(Transport() + " dport " + no + Set(each)), true;
      case Kind::kIcmpType: return Add(icmp + " type " + no + IcmpName(each)), true;
      case Kind::kIcmpCode: return Add(icmp + " code " + no + Set(each)), true;
      case Kind::kTcpFlags:
        return one &&
               (Add(fmt::format("tcp flags & 0x{:x} {} 0x{:x}", each.numbers[0].last, compare, each.numbers[0].first)),
                true);
      case Kind::kConntrackState:
        return (!each.negated || States(each, true).find(',') == std::string::npos) &&
               (Add("ct state " + no + States(each, true)), true);
      case Kind::kConntrackStatus: {
        const std::string name = each.numbers.at(0).first == kStatusDestinationNat ? "dnat" : "snat";
        return Add(each.negated ? "ct status & " + name + " == 0" : "ct status " + name), true;
      }
      case Kind::kMark:
        return one && (Add(fmt::format("meta mark & 0x{:08x} {} 0x{:08x}", each.numbers[0].last, compare,
                                       each.numbers[0].first)),
                       true);
      case Kind::kPacketType:
        return one && each.numbers[0].first < 3 &&
               (Add("meta pkttype " + no + kNftPacketTypes[each.numbers[0].first]), true);
      default: return false;
    }
  }

  // Addresses and ICMP types imply the family.
  bool AddNftFamily() {
    if (!has(Kind::kSource) && !has(Kind::kDestination) && !has(Kind::kIcmpType))
      Add(family_ == Family::kIpv6 ? "meta nfproto ipv6" : "meta nfproto ipv4");
    return true;
  }

  bool AddNftInterface(const std::string& option, const RuleCondition& each) {
    if (each.interfaces.size() != 1 || !FitsNftString(each.interfaces[0])) return false;
    Add(option + '"' + each.interfaces[0] + '"');
    return true;
  }

  // Ports, ICMP types and TCP flags imply the protocol.
  bool AddNftProtocol(const std::string& no, const RuleCondition& each) {
    const bool said =
        IsSingle(&each) && (((has(Kind::kSourcePort) || has(Kind::kDestinationPort)) && Transport() != "th") ||
                            has(Kind::kIcmpType) || has(Kind::kTcpFlags));
    if (!said) Add("meta l4proto " + no + (IsSingle(&each) ? ProtocolWord(each.numbers[0].first, family_) : Set(each)));
    return true;
  }
  std::string Transport() const {
    const RuleCondition* protocol = Find(conditions_, Kind::kProtocol);
    if (!IsSingle(protocol)) return "th";
    const std::string name = ProtocolWord(protocol->numbers[0].first, family_);
    return name == "tcp" || name == "udp" || name == "sctp" ? name : "th";
  }
  static std::string Set(const RuleCondition& each) {
    const std::string all = Numbers(each, ", ", "-");
    return each.numbers.size() == 1 ? all : "{ " + all + " }";
  }
  std::string IcmpName(const RuleCondition& each) const {
    const bool ipv6 = family_ == Family::kIpv6;
    if (!IsSingle(&each)) return Set(each);
    const std::uint32_t type = each.numbers[0].first;
    return type == (ipv6 ? 128U : 8U)   ? "echo-request"
           : type == (ipv6 ? 129U : 0U) ? "echo-reply"
                                        : std::to_string(type);
  }

  static constexpr const char* kPacketTypes[] = {"unicast", "broadcast", "multicast"};
  static constexpr const char* kNftPacketTypes[] = {"host", "broadcast", "multicast"};

  const Conditions& conditions_;
  Family family_;
  std::string text_;
};

}  // namespace

Result<std::string> IptablesText(const Conditions& conditions, Family family) {
  return Writer(conditions, family).Iptables();
}

Result<std::string> AttributeText(const Conditions& conditions, Family family) {
  return Writer(conditions, family).Nft();
}

}  // namespace conntally::diagnose
