// Missing source NAT on outgoing traffic, or source NAT to an address that this host does not have.
#include <linux/netfilter/nf_conntrack_common.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/fixes/accept_rule.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"
#include "daemon/diagnose/rules/translation/translation_findings.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kNetworksMax = 64;  // behind this host, tried at most
constexpr double kNothingSeen = 0.5;      // conntrack tracks nothing that would show whether answers come

IpAddress DestinationOf(const Connection& connection) { return {connection.key.destination, connection.key.family}; }

struct Unanswered {
  std::size_t unanswered = 0;
  std::size_t answered = 0;
};

// Of what was watched between the two: requests that left without an answer, and those to which one came.
Unanswered Watched(const RuleCase& rules, const Packet& packet) {
  Unanswered count;
  if (rules.inputs.watched == nullptr) return count;
  for (const WatchedFlow& flow : rules.inputs.watched->flows) {
    if (flow.source != packet.source || flow.destination != packet.destination) continue;
    const bool came = flow.answer_arrived || (flow.answer != WatchedFlow::Answer::kNone && !flow.answered_from_here);
    count.answered += came;
    count.unanswered += !came && flow.out_link != 0 && rules.inputs.watched->IsUnanswered(flow);
  }
  return count;
}

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

// A rule that translates other sources, if there is one.
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

// `packet` as it leaves: of it the source, and what was asked about besides.
void Masquerade(const RuleCase& rules, const Packet& packet, const IpAddress& source, Finding& finding) {
  if (!packet.out || !CanNameLink(packet.out->name)) {
    finding.decide = "by which link " + source.ToString() + " is to go out, and then to translate it there";
    return;
  }
  const std::string& out = packet.out->name;
  const std::string from = source.ToString();
  const RuleFamily family = packet.family == Family::kIpv4 ? RuleFamily::kIp : RuleFamily::kIp6;
  const std::string risk = "hosts out there see this host's address in place of " + from;
  Packet asked;
  asked.family = packet.family;
  asked.source = source;
  if (rules.inputs.question.destination) asked.destination = packet.destination;
  if (rules.inputs.question.destination_port) {
    asked.protocol = packet.protocol;
    asked.destination_port = packet.destination_port;
  }
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    for (const RuleChain& chain : one.ruleset->chains) {
      const bool of_family =
          chain.family == family || (chain.family == RuleFamily::kInet && backend == RuleBackend::kNftables);
      if (chain.base && chain.type == "nat" && chain.hook == "postrouting" && of_family) {
        auto fix = rules.commands.Masquerade(chain, asked, out, risk);
        if (!fix)
          finding.decide = "how " + from + " is to be translated; no command is offered: " + fix.error().message;
        if (fix) finding.fix.push_back(*std::move(fix));
        return;
      }
    }
  }
  const std::string tool = family == RuleFamily::kIp6 ? "ip6tables" : "iptables";
  const auto selector = IptablesText(OfLeaving(asked, out), packet.family);
  if (!selector) {
    finding.decide = "how " + from + " is to be translated; no command is offered: " + selector.error().message;
    return;
  }
  const std::string text = *selector + " -j MASQUERADE";
  finding.fix.push_back({fmt::format("{} -t nat -A POSTROUTING {}", tool, text), risk,
                         fmt::format("{} -t nat -D POSTROUTING {}", tool, text),
                         fmt::format("{}-save > /etc/iptables/rules.v{}", tool, family == RuleFamily::kIp6 ? 6 : 4)});
}

// Hairpin: translated to a server in the network that the packet came from.
bool IsSentBack(const Walk& walk) {
  const Packet& packet = walk.packet;
  return walk.destination_nat && packet.in && packet.out && packet.in->index == packet.out->index &&
         packet.in->index != 0;
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
  if (certainty == kNothingSeen)
    finding.evidence.push_back("not known: whether others know the way back; --observe 10s shows if answers come");
  if (const auto other = OtherSourceNat(rules, walk.packet.family))
    finding.evidence.push_back("this one takes others: " + rules.commands.Place(*other));
  finding.cause = IsSentBack(walk)
                      ? "the packets go back to the network that they came from, so the server answers its neighbour "
                        "directly, from an address that was not asked: no connection comes about"
                      : "packets leave with an address that nobody out there can answer to, so no answer ever comes "
                        "back: connections time out";
  Masquerade(rules, walk.packet, source, finding);
  report.findings.push_back(std::move(finding));
}

void CheckAskedSource(const RuleCase& rules, const AskedPacket& asked, Report& report) {
  const Walk walk = rules.Through(asked);
  const Packet& packet = walk.packet;
  if (!walk.forwarded || walk.passes == Match::kNo || walk.open || walk.source_nat || walk.source_nat_open ||
      !packet.source || !packet.destination)
    return;
  if (!IsPrivate(*packet.source) || !rules.Forwards(packet.family) || !packet.out || !packet.mark) return;
  const Unanswered watched = Watched(rules, asked.packet);
  Unanswered seen = Untranslated(rules, packet.source, asked.packet.destination);
  if (watched.answered > 0 || seen.answered > seen.unanswered) return;
  seen.unanswered = std::max(seen.unanswered, watched.unanswered);
  double certainty = 0;
  if (IsSentBack(walk)) {
    // A bridge whose packets meet IP rules brings the answer back through conntrack.
    const bool comes_back = packet.out->bridge && rules.BridgedMeetIpRules(packet.family);
    certainty = comes_back && seen.unanswered == 0 ? 0 : 0.92;
  } else if (!IsPrivate(*packet.destination)) {
    // Others may know the way back to it, where no rule translates its like: then failures tell, if they can be seen.
    const auto& connections = rules.inputs.host.connections;
    const bool seen_at_all = rules.inputs.watched != nullptr || (connections && !connections->connections.empty());
    const auto own = rules.AddressOn(packet.out->index, packet.family);
    const bool own_is_private = own && IsPrivate(*own);
    const bool may_be_routed = own_is_private || !OtherSourceNat(rules, packet.family);
    if (may_be_routed && seen.unanswered == 0 && (own_is_private || seen_at_all)) {
      report.not_checked.push_back(
          {"whether others know the way back to " + packet.source->ToString(),
           fmt::format("nothing translates it on the way out by {}, and no connection is seen to fail",
                       packet.out->name)});
      return;
    }
    certainty = may_be_routed && seen.unanswered == 0 ? kNothingSeen : 0.93;
  } else if (seen.unanswered > 0 && !report.Has(FindingId::kInvalidPackets)) {
    certainty = OtherSourceNat(rules, packet.family) ? 0.75 : 0.6;
  }
  if (certainty > 0) TellNoMasquerade(rules, walk, *packet.source, seen, certainty, report);
}

// Translated to an address that this host does not have, such as a pool, which others may or may not route here:
// reported only if connections get no answer, and none gets one.
void CheckTranslatedSource(const RuleCase& rules, const AskedPacket& asked, Report& report) {
  const Walk walk = rules.Through(asked);
  const auto& as = walk.packet.source;
  if (!walk.source_nat || walk.source_nat_open || walk.passes == Match::kNo || !as || !rules.inputs.host.connections ||
      rules.inputs.host.IsLocal(*as) || report.Has(FindingId::kNoMasquerade))
    return;
  const auto back = rules.inputs.find_route({*as});
  if (!back || back->kind == Route::Kind::kLocal) return;
  Unanswered seen;
  for (const Connection& connection : rules.inputs.host.connections->connections) {
    if ((connection.status & IPS_SRC_NAT) == 0 ||
        IpAddress{connection.reply.destination, connection.reply.family} != *as)
      continue;
    ++((connection.status & IPS_SEEN_REPLY) != 0 ? seen.answered : seen.unanswered);
  }
  if (seen.unanswered == 0 || seen.answered > 0) return;
  Finding finding;
  finding.id = FindingId::kNoMasquerade;
  finding.certainty = 0.85;
  finding.title = fmt::format("This traffic is translated to {}, which is no address of this host, and no answer comes",
                              as->ToString());
  finding.evidence = {
      rules.commands.Place(*walk.source_nat),
      fmt::format("{} connections went out as {}, and none of them has an answer", seen.unanswered, as->ToString())};
  finding.cause = "answers go to whoever has the address, or where it is routed: not here";
  finding.decide = fmt::format(
      "which address of this host the rule is to give (MASQUERADE takes that of the link), or who "
      "is to route {} here",
      as->ToString());
  report.findings.push_back(std::move(finding));
}

// Each private network behind this host, on its way to anybody: told only where connections are seen to have no answer.
void CheckNetworksBehind(const RuleCase& rules, Report& report) {
  if (!rules.inputs.host.connections || !rules.Forwards(Family::kIpv4)) return;
  std::map<IpAddress, IpAddress> tried;  // by network: its first source
  for (const Connection& connection : rules.inputs.host.connections->connections) {
    const IpAddress from = connection.key.SourceAddress(), to = DestinationOf(connection);
    if ((connection.status & (IPS_SRC_NAT | IPS_SEEN_REPLY)) != 0 || !IsPrivate(from) || IsPrivate(to)) continue;
    if (rules.inputs.host.IsLocal(from) || rules.inputs.host.IsLocal(to) || tried.size() >= kNetworksMax) continue;
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

}  // namespace

void CheckSourceTranslation(const RuleCase& rules, Report& report) {
  if (!rules.unread.empty()) return;  // without all rules it is not known that nothing translates
  if (!rules.narrowed()) return CheckNetworksBehind(rules, report);
  for (const AskedPacket& asked : rules.Asked()) {
    if (!asked.leaves) CheckAskedSource(rules, asked, report);
    CheckTranslatedSource(rules, asked, report);
  }
}

}  // namespace conntally::diagnose
