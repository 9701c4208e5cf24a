// The commands of programs that own rules (ufw, firewalld, fail2ban) to accept packets.
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/fixes/accept_rule.h"
#include "daemon/diagnose/fixes/firewall_commands.h"

namespace conntally::diagnose {
namespace {

using Kind = RuleCondition::Kind;

// "--zone=public " of firewalld's chains "filter_IN_public", "filter_IN_public_deny" ...; else of the default zone: "".
std::string ZoneOf(std::string chain) {
  constexpr std::string_view kIn = "filter_IN_";
  if (!chain.starts_with(kIn)) return {};
  chain.erase(0, kIn.size());
  for (const std::string_view part : {"_pre", "_log", "_deny", "_allow", "_post"}) {
    if (chain.ends_with(part)) chain.resize(chain.size() - part.size());
  }
  return "--zone=" + ShellWord(chain) + " ";
}

// Whether the owners' commands can express all conditions: a source, a destination, a link, a protocol and a port.
bool IsPlain(const std::vector<RuleCondition>& conditions) {
  return std::all_of(conditions.begin(), conditions.end(), [](const RuleCondition& each) {
    return !each.negated &&
           (each.kind == Kind::kSource || each.kind == Kind::kDestination || each.kind == Kind::kInInterface ||
            each.kind == Kind::kFamily || each.kind == Kind::kProtocol || each.kind == Kind::kDestinationPort);
  });
}

}  // namespace

bool RefusesWhatNobodyServes(const Rule& rule) {
  return rule.table == "kube-proxy" || rule.chain == "KUBE-SERVICES" || rule.chain == "KUBE-EXTERNAL-SERVICES" ||
         rule.chain == "KUBE-NODEPORTS";
}

std::vector<Fix> FirewallCommands::ByOwner(const std::string& owner, const Decision& stop, const Packet& packet) const {
  if (std::find(tools_.missing.begin(), tools_.missing.end(), owner) != tools_.missing.end() || !packet.source)
    return {};
  const std::string& hook = walker_.chain(stop.base).hook;
  const Rule* rule = stop.rule ? &walker_.rule(*stop.rule) : nullptr;
  const std::string chain = rule != nullptr ? rule->chain : std::string(), source = packet.source->ToString();
  if (owner == "fail2ban" && chain.starts_with("f2b-")) {
    const std::string jail = ShellWord(chain.substr(4));
    return {{fmt::format("fail2ban-client set {} unbanip {}", jail, source),
             "the source was banned for a reason: see fail2ban's log first",
             fmt::format("fail2ban-client set {} banip {}", jail, source), ""}};
  }
  const auto conditions = AcceptOfPacket(hook, rule, packet, matcher_);
  const bool of_port = packet.protocol && (*packet.protocol == IPPROTO_TCP || *packet.protocol == IPPROTO_UDP) &&
                       packet.destination_port && packet.destination_port->first == packet.destination_port->last;
  if (!conditions || !IsPlain(*conditions) || !of_port) return {};
  const std::string protocol = *packet.protocol == IPPROTO_TCP ? "tcp" : "udp",
                    port = std::to_string(packet.destination_port->first);
  // The owner's rules come first, also before denials of other destinations: so if a rule stops the packet, name its
  // destination.
  const bool pinned = rule != nullptr || (packet.destination && packet.destination_is_local == false);
  if (pinned && !packet.destination) return {};
  // No ufw command changes ufw's own rules before the user's rules.
  const bool of_users = rule == nullptr || chain.find("-user-") != chain.npos;
  if (owner == "ufw" && of_users && (hook == "input" || hook == "forward")) {
    const bool by_link = packet.in && !packet.in->name.empty();
    if (by_link && !CanNameLink(packet.in->name)) return {};
    const std::string route = hook == "forward" ? "route " : "", first = rule != nullptr ? "insert 1 " : "";
    const std::string text = fmt::format("allow {}proto {} from {} to {} port {}",
                                         by_link ? "in on " + ShellWord(packet.in->name) + " " : "", protocol, source,
                                         pinned ? packet.destination->ToString() : "any", port);
    return {{"ufw " + route + first + text, "opens the port for " + source, "ufw " + route + "delete " + text, ""}};
  }
  if (owner == "firewalld" && hook == "input") {
    // A rich rule with a priority below 0 comes before the zone's denials.
    const std::string before = chain.ends_with("_deny") ? " priority=\"-1\"" : "";
    const std::string to =
        pinned ? fmt::format(" destination address=\"{}\"", packet.destination->ToString()) : std::string();
    const std::string text =
        ShellWord(fmt::format("rule{} family=\"{}\" source address=\"{}\"{} port port=\"{}\" protocol=\"{}\" accept",
                              before, packet.family == Family::kIpv6 ? "ipv6" : "ipv4", source, to, port, protocol));
    const std::string zone = ZoneOf(chain);
    return {{"firewall-cmd " + zone + "--add-rich-rule=" + text, "opens the port for " + source,
             "firewall-cmd " + zone + "--remove-rich-rule=" + text, "firewall-cmd --runtime-to-permanent"}};
  }
  return {};
}

}  // namespace conntally::diagnose
