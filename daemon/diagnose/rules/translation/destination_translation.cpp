// Destination NAT whose packets the forward chain stops, or to 127.0.0.0/8.
#include <spdlog/fmt/fmt.h>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"
#include "daemon/diagnose/rules/translation/translation_findings.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kTranslationsMax = 64;  // DNAT rules that are tried

// A packet from outside that the DNAT rule would match.
std::optional<AskedPacket> FromOutside(const RuleCase& rules, const Rule& rule) {
  AskedPacket asked;
  Packet& packet = asked.packet;
  packet.family = rule.nat->addresses ? rule.nat->addresses->first.family : Family::kIpv4;
  packet.source_port = kClientPorts;
  packet.tcp_flags = 2;
  packet.source_is_local = false;
  packet.destination_is_local = true;
  for (const RuleCondition& condition : rule.conditions) {
    if (condition.negated) continue;
    using Kind = RuleCondition::Kind;
    if (condition.kind == Kind::kProtocol && !condition.numbers.empty())
      packet.protocol = static_cast<std::uint8_t>(condition.numbers.front().first);
    if (condition.kind == Kind::kDestinationPort && !condition.numbers.empty())
      packet.destination_port = NumberRange{condition.numbers.front().first, condition.numbers.front().first};
    if (condition.kind == Kind::kDestination && !condition.addresses.empty())
      packet.destination = condition.addresses.front().first;
    if (condition.kind == Kind::kInInterface && !condition.interfaces.empty())
      packet.in = PacketInterface{0, condition.interfaces.front()};
  }
  const auto inside = rules.inputs.find_route({rule.nat->addresses->first, std::nullopt, 0});
  if (!inside || inside->kind != Route::Kind::kForward) return std::nullopt;
  for (const Link* link : rules.OuterLinks()) {
    if (link->index == inside->link) continue;
    if (packet.in && packet.in->name != link->name) continue;
    packet.in = InterfaceOf(*link);
    if (!packet.destination) packet.destination = rules.AddressOn(link->index, packet.family);
    return asked;
  }
  return std::nullopt;
}

void CheckDestinations(const RuleCase& rules, Report& report) {
  std::size_t tried = 0;
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    for (std::size_t i = 0; i < one.ruleset->rules.size() && tried < kTranslationsMax; ++i) {
      const Rule& rule = one.ruleset->rules[i];
      const bool translates = rule.nat && rule.nat->kind == NatTarget::Kind::kDestination && rule.nat->addresses;
      if (!translates || !rules.Forwards(rule.nat->addresses->first.family) || report.Has(FindingId::kDnatNotForwarded))
        continue;
      const auto asked = FromOutside(rules, rule);
      if (!asked) continue;
      ++tried;
      const Walk walk = rules.Through(*asked);
      const Decision* stop = walk.stop();
      if (stop == nullptr || walk.destination_nat != RuleRef{backend, i} ||
          rules.walker.chain(stop->base).hook != "forward")
        continue;
      const bool grows = (stop->rule ? rules.Growth(*stop->rule) : rules.PolicyGrowth(stop->base)) > 0;
      Finding finding;
      finding.id = FindingId::kDnatNotForwarded;
      finding.certainty = grows ? 0.9 : 0.6;
      finding.title = fmt::format("A DNAT rule leads to {}, and the forward chain lets nothing through to there",
                                  rule.nat->addresses->first.ToString());
      finding.evidence = {rules.commands.Place({backend, i}), "stopped by " + rules.Place(*stop), rules.Counted(*stop)};
      finding.cause =
          "DNAT changes the destination before the forward hook: that hook sees the new address and port, and needs a "
          "rule that accepts them; " +
          Symptom(rules, *stop, walk.packet);
      rules.commands.LetThrough(*stop, walk.packet, finding);
      report.findings.push_back(std::move(finding));
    }
  }
}

// Packets that arrive by a link cannot go to 127.0.0.0/8, unless route_localnet is set for the link
// (ip_route_input_slow).
void CheckLoopbackTarget(const RuleCase& rules, const AskedPacket& asked, Report& report) {
  const Walk walk = rules.Through(asked);
  const auto& to = walk.packet.destination;
  if (asked.leaves || !walk.destination_nat || !to || to->family != Family::kIpv4 || to->bytes[0] != 127) return;
  const auto& in = asked.packet.in;
  const auto on = [&](const std::string& link) {
    return NumberOf(rules.inputs.host.sysctls, "net/ipv4/conf/" + link + "/route_localnet").value_or(0) != 0;
  };
  if (!in || in->name.empty() || on("all") || on(in->name) || report.Has(FindingId::kDnatNotForwarded)) return;
  Finding finding;
  finding.id = FindingId::kDnatNotForwarded;
  finding.certainty = 0.96;
  finding.title = fmt::format("A DNAT rule leads to {}, and route_localnet of {} is 0", to->ToString(), in->name);
  finding.evidence = {rules.commands.Place(*walk.destination_nat),
                      fmt::format("net.ipv4.conf.{}.route_localnet is 0, and that of all", in->name)};
  finding.cause =
      "the kernel drops what comes by a link for 127.0.0.0/8 as a martian, before the input hook: no rule "
      "counts it, and the client waits until it times out";
  if (CanNameLink(in->name)) {
    const std::string key = "net/ipv4/conf/" + in->name + "/route_localnet";
    const std::string table = GuardTable(rules.inputs.after, "localnet_" + in->name);
    const std::string guard = NftCommand(fmt::format(
        "add table inet {0}; add chain inet {0} raw {{ type filter hook prerouting priority raw; }}; add rule inet {0} "
        "raw iifname \"{1}\" ip daddr 127.0.0.0/8 drop",
        table, in->name));
    finding.fix.push_back(
        {guard + " && sysctl -w " + ShellWord(key + "=1"),
         "services of 127.0.0.1 are reached as the DNAT rule says; the guard's rule keeps all others out",
         "sysctl -w " + ShellWord(key + "=0") + " && nft delete table inet " + table,
         "the setting in /etc/sysctl.d, the table in /etc/nftables.conf"});
  }
  report.findings.push_back(std::move(finding));
}

}  // namespace

void CheckDestinationTranslation(const RuleCase& rules, Report& report) {
  if (!rules.narrowed()) {
    CheckDestinations(rules, report);
    report.checked.push_back("whether what DNAT rules lead inside is let through, and what goes out is translated");
    return;
  }
  for (const AskedPacket& asked : rules.Asked()) CheckLoopbackTarget(rules, asked, report);
}

}  // namespace conntally::diagnose
