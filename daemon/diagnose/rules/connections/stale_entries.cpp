// Entries of conntrack's that are older than the rules: nat chains are asked for the first packet of a connection only,
// and whoever goes on sending UDP from one port keeps its entry, and what was decided then, for ever.
//
// Sources: net/netfilter/nf_nat_core.c (nf_nat_inet_fn).
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include "collectors/tally/protocol_names.h"
#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/connections/connection_findings.h"
#include "daemon/diagnose/rules/connections/entries.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kEntriesMax = 256;  // of the traffic in question, walked at most

bool IsAsked(const Question& question, const Connection& connection) {
  const StreamEnds ends = EndsOf(connection.key);
  return (!question.source || *question.source == ends.source) &&
         (!question.destination || *question.destination == ends.destination) &&
         (!question.destination_port || *question.destination_port == ends.destination_port) &&
         question.protocol == connection.key.protocol;
}

AskedPacket FirstOf(const RuleCase& rules, const Connection& connection) {
  const StreamEnds ends = EndsOf(connection.key);
  AskedPacket asked;
  Packet& packet = asked.packet;
  packet.family = ends.source.family;
  packet.source = ends.source;
  packet.destination = ends.destination;
  packet.protocol = connection.key.protocol;
  packet.source_port = NumberRange{ends.source_port, ends.source_port};
  packet.destination_port = NumberRange{ends.destination_port, ends.destination_port};
  packet.source_is_local = rules.inputs.host.IsLocal(ends.source);
  packet.destination_is_local = rules.inputs.host.IsLocal(ends.destination);
  asked.leaves = *packet.source_is_local;
  if (asked.leaves) return asked;
  const Link* link = rules.inputs.host.LinkOf(rules.inputs.host.routes.in_link);
  if (link == nullptr) {
    const auto back = rules.inputs.find_route({ends.source});
    link = back ? rules.inputs.host.LinkOf(back->link) : nullptr;
  }
  if (link != nullptr) packet.in = InterfaceOf(*link);
  packet.reverse_path = true;
  return asked;
}

// How the entry differs from what the rules would create now; empty: it does not, or unknown.
std::string DescribeDifference(const Connection& connection, const Walk& now) {
  const StreamEnds then = EndsOf(connection.reply);  // the reply's source and destination
  const Packet& packet = now.packet;
  const bool dnat = (connection.status & IPS_DST_NAT) != 0, snat = (connection.status & IPS_SRC_NAT) != 0;
  if (!now.destination_nat_open && packet.destination && packet.destination_port &&
      now.destination_nat.has_value() != dnat) {
    return dnat ? fmt::format("it leads to {} port {}, and no rule translates its destination now",
                              then.source.ToString(), then.source_port)
                : fmt::format("it leads to {} as it was asked, and rules lead new ones to {} port {}",
                              then.source.ToString(), packet.destination->ToString(), packet.destination_port->first);
  }
  if (!now.destination_nat_open && dnat && packet.destination && *packet.destination != then.source) {
    return fmt::format("it leads to {} port {}, and rules lead new ones to {}", then.source.ToString(),
                       then.source_port, packet.destination->ToString());
  }
  if (now.source_nat_open || now.source_nat.has_value() == snat) {
    const bool moved = snat && !now.source_nat_open && packet.source && *packet.source != then.destination;
    if (!moved) return {};
    return fmt::format("it leaves with the address {}, and new ones with {}", then.destination.ToString(),
                       packet.source->ToString());
  }
  // Translated to the address that it has, as this host's own by masquerading, it has no mark of it.
  if (!snat && (!packet.source || *packet.source == then.destination)) return {};
  return snat ? fmt::format("it leaves with the address {}, and no rule translates its source now",
                            then.destination.ToString())
              : fmt::format("it leaves with its own address {}, and rules translate new ones",
                            then.destination.ToString());
}

std::string Command(const Connection& connection) {
  const StreamEnds ends = EndsOf(connection.key);
  return fmt::format("conntrack -D{} -p {} -s {} -d {} --sport {} --dport {}",
                     ends.source.family == Family::kIpv6 ? " -f ipv6" : "", ProtocolName(connection.key.protocol),
                     ends.source.ToString(), ends.destination.ToString(), ends.source_port, ends.destination_port);
}

}  // namespace

void CheckStaleEntries(const RuleCase& rules, Report& report) {
  const Question& question = rules.inputs.question;
  // A TCP connection ends, and the rules decide anew about the next one.
  if (!rules.narrowed() || question.protocol != IPPROTO_UDP || !rules.inputs.host.connections || !rules.unread.empty())
    return;
  std::size_t walked = 0;
  for (const Connection& connection : rules.inputs.host.connections->connections) {
    if (!IsAsked(question, connection) || walked++ >= kEntriesMax) continue;
    const Walk now = rules.Through(FirstOf(rules, connection));
    const std::string difference = now.passes == Match::kYes ? DescribeDifference(connection, now) : std::string();
    if (difference.empty()) continue;
    const bool answered = (connection.status & IPS_SEEN_REPLY) != 0;
    const StreamEnds ends = EndsOf(connection.key);
    Finding finding;
    finding.id = FindingId::kStaleEntry;
    finding.certainty = answered ? 0.7 : 0.93;
    finding.title =
        fmt::format("A conntrack entry of {} is older than the rules: {}", ends.source.ToString(), difference);
    finding.evidence = {fmt::format("entry: {} from {} port {} to {} port {}, {}; it expires in {} s without a packet",
                                    ProtocolName(connection.key.protocol), ends.source.ToString(), ends.source_port,
                                    ends.destination.ToString(), ends.destination_port,
                                    answered ? "answered" : "not answered", connection.timeout_seconds)};
    const auto& by = now.destination_nat ? now.destination_nat : now.source_nat;
    if (by) finding.evidence.push_back("the rule for new ones: " + rules.commands.Place(*by));
    finding.cause =
        "NAT rules only see a connection's first packet: a sender that keeps its port keeps the entry and the old "
        "decision alive";
    finding.fix.push_back({Command(connection), "its next packet makes a new entry, by the rules as they are now",
                           "# nothing to take back: the entry is made anew", ""});
    report.findings.push_back(std::move(finding));
    break;
  }
  report.checked.push_back(
      fmt::format("{} conntrack entries of that traffic, against what rules make of new ones", walked));
}

}  // namespace conntally::diagnose
