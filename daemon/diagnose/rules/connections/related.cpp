// ICMP that belongs to a connection: "fragmentation needed" and "packet too big". Where it is stopped, connections come
// about and hang as soon as a long packet is sent, over a way whose middle takes shorter ones than its ends.
//
// Sources: RFC 1191, RFC 8201, RFC 2923 (section 2.1).
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/connections/connection_findings.h"
#include "daemon/diagnose/rules/connections/entries.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

AskedPacket Icmp(Family family) {
  AskedPacket asked;
  Packet& packet = asked.packet;
  packet.family = family;
  packet.protocol = family == Family::kIpv4 ? std::uint8_t{IPPROTO_ICMP} : std::uint8_t{IPPROTO_ICMPV6};
  packet.icmp_type = std::uint8_t{family == Family::kIpv4 ? std::uint8_t{3} : std::uint8_t{2}};
  packet.icmp_code = std::uint8_t{family == Family::kIpv4 ? std::uint8_t{4} : std::uint8_t{0}};
  packet.state = kStateRelated;
  packet.reverse_path = true;
  return asked;
}

const char* NameOf(Family family) { return family == Family::kIpv4 ? "fragmentation needed" : "packet too big"; }

void Tell(const RuleCase& rules, const Walk& walk, const AskedPacket& asked, double certainty, std::string seen,
          Report& report) {
  const Decision& stop = *walk.stop();
  if (report.Has(FindingId::kRelatedDropped)) return;
  const char* name = NameOf(asked.packet.family);
  Finding finding;
  finding.id = FindingId::kRelatedDropped;
  finding.rule = stop.rule;
  finding.certainty = certainty;
  finding.title = fmt::format("ICMP \"{}\", which belongs to the connection, is stopped by chain {}", name,
                              stop.rule ? rules.walker.rule(*stop.rule).chain : rules.walker.chain(stop.base).name);
  finding.evidence = {"stopped by " + rules.Place(stop), rules.Counted(stop), std::move(seen)};
  finding.cause =
      "the sender never learns that its packets exceed the path MTU, and resends them: connections open, short answers "
      "pass, and long ones hang";
  finding.cures = {{asked}};
  if (auto accept = rules.commands.AcceptAnswers(stop, walk.packet)) {
    finding.fix.push_back(*std::move(accept));
  } else {
    finding.decide = fmt::format(
        "where ICMP \"{}\" of known connections (ct state related) passes {}; no command is "
        "offered for that: {}",
        name, rules.Place(stop), accept.error().message);
  }
  report.findings.push_back(std::move(finding));
}

// ICMP that was seen arriving here, and not leaving.
void CheckSeen(const RuleCase& rules, Report& report) {
  for (const TooLong& said : rules.inputs.watched->too_long) {
    if (said.in_link == 0 || said.out_link != 0) continue;
    AskedPacket asked = Icmp(said.said_to.family);
    Packet& packet = asked.packet;
    packet.source = said.said_by;
    packet.destination = said.said_to;
    const EntryOf entry = FindEntry(rules.inputs.host, said.ends);
    // Conntrack reverses the translation in related packets too.
    if (entry.connection != nullptr && entry.translated && entry.original)
      packet.destination = entry.connection->key.SourceAddress();
    packet.source_is_local = false;
    packet.destination_is_local = rules.inputs.host.IsLocal(*packet.destination);
    if (const Link* link = rules.inputs.host.LinkOf(said.in_link)) packet.in = InterfaceOf(*link);
    const Walk walk = rules.Through(asked);
    if (walk.stop() == nullptr) continue;
    Tell(rules, walk, asked, 0.95,
         fmt::format("on the wire: {} said {} times \"{}\" to {}, for packets over {} bytes", said.said_by.ToString(),
                     said.times, NameOf(packet.family), said.said_to.ToString(), said.mtu),
         report);
  }
}

// The ICMP that this host itself sends when it forwards to a link with a smaller MTU.
void CheckOwn(const RuleCase& rules, const AskedPacket& asked, const Walk& first, Report& report) {
  if (!first.forwarded || asked.bridged || !first.packet.in || !first.packet.out) return;
  const Link* in = rules.inputs.host.LinkOf(first.packet.in->index);
  const Link* out = rules.inputs.host.LinkOf(first.packet.out->index);
  if (in == nullptr || out == nullptr || in->mtu == out->mtu || in->mtu == 0 || out->mtu == 0) return;
  const bool to_source = out->mtu < in->mtu;
  const auto& sender = to_source ? asked.packet.source : first.packet.destination;
  const Link& back = to_source ? *in : *out;
  AskedPacket own = Icmp(asked.packet.family);
  own.leaves = true;
  own.packet.source = rules.AddressOn(back.index, asked.packet.family);
  own.packet.destination = sender;
  own.packet.source_is_local = true;
  own.packet.destination_is_local = false;
  own.packet.out = InterfaceOf(back);
  const Walk walk = rules.Through(own);
  const Decision* stop = walk.stop();
  if (stop == nullptr) return;
  const bool grows = (stop->rule ? rules.Growth(*stop->rule) : rules.PolicyGrowth(stop->base)) > 0;
  const bool stalls = rules.inputs.watched != nullptr &&
                      std::any_of(rules.inputs.watched->stalled.begin(), rules.inputs.watched->stalled.end(),
                                  [](const StalledStream& each) { return each.in_link != 0 && each.out_link == 0; });
  Tell(rules, walk, own,
       stalls  ? 0.95
       : grows ? 0.85
               : 0.6,
       fmt::format("{} takes packets of {} bytes, {} of {}: this host has to say so to who sends them", in->name,
                   in->mtu, out->name, out->mtu),
       report);
}

// The ICMP of other routers: reported only for a rule that stops it, and has stopped packets.
void CheckComing(const RuleCase& rules, const AskedPacket& asked, const Walk& first, Report& report) {
  AskedPacket coming = Icmp(asked.packet.family);
  Packet& packet = coming.packet;
  const bool to_source = first.forwarded;
  packet.in = asked.leaves || to_source ? first.packet.out : asked.packet.in;
  packet.destination = asked.leaves || to_source ? asked.packet.source : first.packet.destination;
  packet.source_is_local = false;
  packet.destination_is_local = !to_source;
  coming.bridged = asked.bridged;
  const Walk walk = rules.Through(coming);
  const Decision* stop = walk.stop();
  if (stop == nullptr || !stop->rule) return;
  const Rule& rule = rules.walker.rule(*stop->rule);
  const bool about_icmp = std::any_of(rule.conditions.begin(), rule.conditions.end(), [](const RuleCondition& each) {
    using Kind = RuleCondition::Kind;
    return each.kind == Kind::kIcmpType || (each.kind == Kind::kProtocol && !each.negated);
  });
  const std::uint64_t packets = rules.Packets(*stop->rule).value_or(0);
  if (!about_icmp || packets == 0) return;
  Tell(rules, walk, coming, rules.Growth(*stop->rule) > 0 ? 0.6 : 0.4,
       "not known: whether it was such ICMP that the rule stopped", report);
}

// Whether all watched connections are accepted, and no stream stalls.
bool IsSeenToWork(const WatchedPackets* watched) {
  if (watched == nullptr || watched->flows.empty() || !watched->stalled.empty()) return false;
  return std::all_of(watched->flows.begin(), watched->flows.end(),
                     [&](const WatchedFlow& flow) { return watched->IsAccepted(flow); });
}

}  // namespace

void CheckRelated(const RuleCase& rules, Report& report) {
  if (rules.inputs.watched != nullptr) CheckSeen(rules, report);
  if (!rules.narrowed() || IsSeenToWork(rules.inputs.watched)) return;
  for (const AskedPacket& asked : rules.Asked()) {
    const bool of_tcp = !asked.packet.protocol || *asked.packet.protocol == IPPROTO_TCP;
    const Walk first = rules.Through(asked);
    const bool to_itself = asked.leaves && first.packet.destination_is_local == true;
    if (!of_tcp || to_itself || first.passes == Match::kNo) continue;
    CheckOwn(rules, asked, first, report);
    CheckComing(rules, asked, first, report);
  }
}

}  // namespace conntally::diagnose
