// Source NAT that is missing on the way out, and destination NAT to where the forward chain lets nothing through.
#include <linux/netfilter/nf_conntrack_common.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/rule_findings.h"
#include "daemon/diagnose/rules/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kTranslationsMax = 64;  // DNAT rules that are tried

IpAddress DestinationOf(const Connection& connection) { return {connection.key.destination, connection.key.family}; }

struct Unanswered {
  std::size_t unanswered = 0;
  std::size_t answered = 0;
};

// Connections from private addresses to public ones that pass untranslated.
Unanswered Untranslated(const RuleCase& rules, const std::optional<IpAddress>& source,
                        const std::optional<IpAddress>& destination) {
  Unanswered count;
  if (!rules.inputs.host.connections) return count;
  for (const Connection& connection : rules.inputs.host.connections->connections) {
    const IpAddress from = connection.key.SourceAddress(), to = DestinationOf(connection);
    if ((connection.status & IPS_SRC_NAT) != 0 || !IsPrivate(from) || (source && from != *source) ||
        (destination && to != *destination))
      continue;
    if ((!destination && IsPrivate(to)) || rules.inputs.host.IsLocal(to) || rules.inputs.host.IsLocal(from)) continue;
    ++((connection.status & IPS_SEEN_REPLY) != 0 ? count.answered : count.unanswered);
  }
  return count;
}

// The rule that translates sources for somebody else, if there is one.
std::optional<RuleRef> OtherSourceNat(const RuleCase& rules, Family family) {
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    for (std::size_t i = 0; i < one.ruleset->rules.size(); ++i) {
      const Rule& rule = one.ruleset->rules[i];
      const bool of_family = rule.family == RuleFamily::kInet ||
                             rule.family == (family == Family::kIpv4 ? RuleFamily::kIp : RuleFamily::kIp6);
      if (!of_family || !rule.nat) continue;
      if (rule.nat->kind == NatTarget::Kind::kMasquerade || rule.nat->kind == NatTarget::Kind::kSource)
        return RuleRef{backend, i};
    }
  }
  return std::nullopt;
}

void Masquerade(const RuleCase& rules, const Packet& packet, const IpAddress& source, Finding& finding) {
  if (!packet.out || !CanNameLink(packet.out->name)) {
    finding.decide = "by which link " + source.ToString() + " is to go out, and then to translate it there";
    return;
  }
  const std::string& out = packet.out->name;
  const std::string from = source.ToString();
  const RuleFamily family = packet.family == Family::kIpv4 ? RuleFamily::kIp : RuleFamily::kIp6;
  const std::string risk = "hosts out there see this host's address in place of " + from;
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    for (const RuleChain& chain : one.ruleset->chains) {
      const bool of_family =
          chain.family == family || (chain.family == RuleFamily::kInet && backend == RuleBackend::kNftables);
      if (chain.base && chain.type == "nat" && chain.hook == "postrouting" && of_family) {
        auto fix = rules.commands.Masquerade(chain, source, out, risk);
        if (!fix)
          finding.decide = "how " + from + " is to be translated; no command is offered: " + fix.error().message;
        if (fix) finding.fix.push_back(*std::move(fix));
        return;
      }
    }
  }
  const std::string tool = family == RuleFamily::kIp6 ? "ip6tables" : "iptables";
  const std::string text = fmt::format("-s {} -o {} -j MASQUERADE", from, ShellWord(out));
  finding.fix.push_back({fmt::format("{} -t nat -A POSTROUTING {}", tool, text), risk,
                         fmt::format("{} -t nat -D POSTROUTING {}", tool, text),
                         fmt::format("{}-save > /etc/iptables/rules.v{}", tool, family == RuleFamily::kIp6 ? 6 : 4)});
}

void TellNoMasquerade(const RuleCase& rules, const Walk& walk, const IpAddress& source, const Unanswered& seen,
                      double certainty, Report& report) {
  if (report.Has(FindingId::kNoMasquerade)) return;
  const std::string from = source.ToString();
  Finding finding;
  finding.id = FindingId::kNoMasquerade;
  finding.certainty = certainty;
  const std::string out = walk.packet.out ? walk.packet.out->name : "the way out";
  finding.title = fmt::format("Nothing translates {} on the way out by {}", from, out);
  finding.evidence.push_back(from +
                             " is private, and no rule of the postrouting hook that takes such packets changes it");
  if (seen.unanswered > 0) {
    finding.evidence.push_back(fmt::format("{} such connections went out untranslated and have no answer, {} have one",
                                           seen.unanswered, seen.answered));
  }
  if (const auto other = OtherSourceNat(rules, walk.packet.family))
    finding.evidence.push_back("this one takes others: " + rules.commands.Place(*other));
  finding.cause =
      "packets leave with an address that nobody out there can answer to, so no answer ever comes back: connections "
      "time out";
  Masquerade(rules, walk.packet, source, finding);
  report.findings.push_back(std::move(finding));
}

void CheckAskedSource(const RuleCase& rules, const AskedPacket& asked, Report& report) {
  const Walk walk = rules.Through(asked);
  const Packet& packet = walk.packet;
  if (!walk.forwarded || walk.passes == Match::kNo || walk.source_nat || walk.source_nat_open || !packet.source ||
      !packet.destination)
    return;
  if (!IsPrivate(*packet.source) || !rules.Forwards(packet.family)) return;
  const Unanswered seen = Untranslated(rules, packet.source, asked.packet.destination);
  if (seen.answered > seen.unanswered) return;
  double certainty = 0;
  // Sent back to the network that it came from: the server answers its neighbour by itself, from an address that was
  // not asked.
  const bool hairpin =
      walk.destination_nat && packet.in && packet.out && packet.in->index == packet.out->index && packet.in->index != 0;
  if (hairpin) {
    certainty = 0.92;
  } else if (!IsPrivate(*packet.destination)) {
    const auto own = packet.out ? rules.AddressOn(packet.out->index, packet.family) : std::nullopt;
    certainty = own && IsPrivate(*own) && seen.unanswered == 0 ? 0.6 : 0.93;
  } else if (seen.unanswered > 0) {
    certainty = OtherSourceNat(rules, packet.family) ? 0.75 : 0.6;
  }
  if (certainty > 0) TellNoMasquerade(rules, walk, *packet.source, seen, certainty, report);
}

// Each private network behind this host, on its way to anybody: told only where connections are seen to have no answer.
void CheckNetworksBehind(const RuleCase& rules, Report& report) {
  if (!rules.inputs.host.connections || !rules.Forwards(Family::kIpv4)) return;
  std::map<IpAddress, IpAddress> tried;  // by network: the first source
  for (const Connection& connection : rules.inputs.host.connections->connections) {
    const IpAddress from = connection.key.SourceAddress(), to = DestinationOf(connection);
    if ((connection.status & (IPS_SRC_NAT | IPS_SEEN_REPLY)) != 0 || !IsPrivate(from) || IsPrivate(to)) continue;
    if (rules.inputs.host.IsLocal(from) || rules.inputs.host.IsLocal(to) || tried.size() >= kTranslationsMax) continue;
    if (!tried.emplace(Masked(from, from.family == Family::kIpv4 ? 24 : 64), from).second) continue;
    const Unanswered seen = Untranslated(rules, from, std::nullopt);
    if (seen.answered > 0) continue;
    AskedPacket asked;
    asked.packet.family = from.family;
    asked.packet.source = from;
    asked.packet.destination = to;
    asked.packet.protocol = connection.key.protocol;
    asked.packet.destination_port = NumberRange{connection.key.destination_port, connection.key.destination_port};
    asked.packet.source_port = NumberRange{connection.key.source_port, connection.key.source_port};
    asked.packet.source_is_local = asked.packet.destination_is_local = false;
    const auto back = rules.inputs.find_route({from, std::nullopt, 0});
    if (const Link* link = back ? rules.inputs.host.LinkOf(back->link) : nullptr) asked.packet.in = InterfaceOf(*link);
    const Walk walk = rules.Through(asked);
    if (walk.forwarded && walk.passes != Match::kNo && !walk.source_nat && !walk.source_nat_open) {
      TellNoMasquerade(rules, walk, from, seen, 0.7, report);
    }
  }
}

// A packet that the DNAT rule would take, from anybody outside.
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

// 127.0.0.0/8 is no address for what comes by a link, unless the link is told to route it (ip_route_input_slow).
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
    const std::string guard = NftCommand(fmt::format(
        "add table inet guard; add chain inet guard raw {{ type filter hook prerouting priority raw; }}; add rule inet "
        "guard raw iifname \"{}\" ip daddr 127.0.0.0/8 drop",
        in->name));
    finding.fix.push_back(
        {guard + " && sysctl -w " + ShellWord(key + "=1"),
         "services of 127.0.0.1 are reached as the DNAT rule says; the guard's rule keeps all others out",
         "sysctl -w " + ShellWord(key + "=0") + " && nft delete table inet guard",
         "the setting in /etc/sysctl.d, the table in /etc/nftables.conf"});
  }
  report.findings.push_back(std::move(finding));
}

}  // namespace

void CheckTranslation(const RuleCase& rules, Report& report) {
  const bool all_read = rules.unread.empty();  // that nothing translates is known of all rules only
  if (rules.narrowed()) {
    for (const AskedPacket& asked : rules.Asked()) CheckLoopbackTarget(rules, asked, report);
    if (!all_read) return;
    for (const AskedPacket& asked : rules.Asked()) {
      if (!asked.leaves) CheckAskedSource(rules, asked, report);
    }
    return;
  }
  if (all_read) CheckNetworksBehind(rules, report);
  CheckDestinations(rules, report);
  report.checked.push_back("whether what DNAT rules lead inside is let through, and what goes out is translated");
}

}  // namespace conntally::diagnose
