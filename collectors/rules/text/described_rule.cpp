#include "collectors/rules/text/described_rule.h"

#include <array>
#include <cstdio>
#include <functional>

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

// In the form of iptables' xtables_save_string.
std::string SavedWord(const std::string& text) {
  constexpr std::string_view kPlain = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return text;
  std::string word = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '\'') word += '\\';
    word += c;
  }
  return word + '"';
}

std::string AddressText(const AddressRange& range) {
  for (unsigned length = 0; length <= AddressBits(range.first.family); ++length) {
    const Prefix prefix{range.first, static_cast<std::uint8_t>(length)};
    if (Masked(range.first, length) != range.first || !prefix.Contains(range.last)) continue;
    if (RangeOf(prefix).last == range.last) return range.first.ToString() + "/" + std::to_string(length);
  }
  return range.first.ToString() + "-" + range.last.ToString();
}

std::string ProtocolText(std::uint32_t number) {
  switch (number) {
    case 1: return "icmp";
    case 6: return "tcp";
    case 17: return "udp";
    case 58: return "ipv6-icmp";
    case 132: return "sctp";
    default: return std::to_string(number);
  }
}

std::string StateText(std::uint32_t states) {
  std::string text;
  for (const auto& [bit, name] :
       {std::pair{1U, "INVALID"}, {8U, "NEW"}, {4U, "RELATED"}, {2U, "ESTABLISHED"}, {64U, "UNTRACKED"}}) {
    if ((states & bit) != 0) text += (text.empty() ? "" : ",") + std::string(name);
  }
  return text;
}

std::string ConditionText(const RuleCondition& condition) {
  const auto numbers = [&](auto&& one) {
    std::string list;
    for (const NumberRange& range : condition.numbers) {
      list += (list.empty() ? "" : ",") + one(range.first) + (range.last != range.first ? ":" + one(range.last) : "");
    }
    return list;
  };
  const auto plain = [](std::uint32_t number) { return std::to_string(number); };
  const std::string negated = condition.negated ? "! " : "";
  const auto address = [&](const std::string& option) {
    if (!condition.set.empty())
      return "-m set " + negated + "--match-set " + condition.set + (option == "-s" ? " src" : " dst");
    return negated + option + " " + (condition.addresses.empty() ? "" : AddressText(condition.addresses.front()));
  };
  const auto interface = [&](const std::string& option) {
    std::string name = condition.interfaces.empty() ? "" : condition.interfaces.front();
    if (!name.empty() && name.back() == '*') name.back() = '+';
    return negated + option + " " + name;
  };
  switch (condition.kind) {
    case Kind::kSource: return address("-s");
    case Kind::kDestination: return address("-d");
    case Kind::kInInterface: return interface("-i");
    case Kind::kOutInterface: return interface("-o");
    case Kind::kProtocol: return negated + "-p " + numbers(ProtocolText);
    case Kind::kSourcePort: return negated + (condition.numbers.size() > 1 ? "--sports " : "--sport ") + numbers(plain);
    case Kind::kDestinationPort:
      return negated + (condition.numbers.size() > 1 ? "--dports " : "--dport ") + numbers(plain);
    case Kind::kConntrackState:
      return "-m conntrack " + negated + "--ctstate " +
             StateText(condition.numbers.empty() ? 0 : condition.numbers.front().first);
    case Kind::kIcmpType: return negated + "--icmp-type " + numbers(plain);
    case Kind::kTcpFlags: return negated + "--tcp-flags " + numbers(plain);
    case Kind::kMark:
      return "-m mark " + negated + "--mark " +
             (condition.numbers.empty()
                  ? ""
                  : plain(condition.numbers.front().first) + "/" + plain(condition.numbers.front().last));
    case Kind::kSourceType: return "-m addrtype " + negated + "--src-type " + numbers(plain);
    case Kind::kDestinationType: return "-m addrtype " + negated + "--dst-type " + numbers(plain);
    case Kind::kPacketType: return "-m pkttype " + negated + "--pkt-type " + numbers(plain);
    case Kind::kReversePath: return std::string("-m rpfilter") + (condition.negated ? " --invert" : "");
    case Kind::kIcmpCode: return "--icmp-code " + numbers(plain);
    case Kind::kConntrackStatus: return "-m conntrack " + negated + "--ctstatus " + numbers(plain);
    case Kind::kFamily:
    case Kind::kInInterfaceIndex:  // iptables has none of these
    case Kind::kOutInterfaceIndex:
    case Kind::kTuple: return "";
  }
  return "";
}

std::string TargetText(const Rule& rule) {
  const auto jump = [&](const char* target) { return std::string("-j ") + target; };
  if (!rule.jump_target.empty()) return (rule.by_goto ? "-g " : "-j ") + rule.jump_target;
  switch (rule.verdict) {
    case Verdict::kAccept: return jump("ACCEPT");
    case Verdict::kDrop: return jump("DROP");
    case Verdict::kReject: return jump("REJECT");
    case Verdict::kReturn: return jump("RETURN");
    case Verdict::kQueue: return jump("NFQUEUE");
    case Verdict::kLog:
      return rule.nflog_group ? "-j NFLOG --nflog-prefix " + SavedWord(rule.log_prefix) + " --nflog-group " +
                                    std::to_string(*rule.nflog_group)
                              : "-j LOG --log-prefix " + SavedWord(rule.log_prefix);
    default: return "";
  }
}

}  // namespace

std::string DescribeLegacyRule(const Rule& rule, Bytes entry) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() || part.empty() ? "" : " ") + part; };
  for (const RuleCondition& condition : rule.conditions) add(ConditionText(condition));
  if (!rule.comment.empty()) add("-m comment --comment " + SavedWord(rule.comment));
  const std::string target = TargetText(rule);
  const bool whole =
      rule.fully_understood && rule.limits.empty() && (!target.empty() || rule.verdict == Verdict::kContinue);
  if (!whole) {
    std::array<char, 20> digest{};
    const std::string_view bytes(reinterpret_cast<const char*>(entry.data()), entry.size());
    std::snprintf(digest.data(), digest.size(), "(%016zx)", std::hash<std::string_view>()(bytes));
    add(digest.data());
  }
  add(target);
  return text;
}

}  // namespace conntally
