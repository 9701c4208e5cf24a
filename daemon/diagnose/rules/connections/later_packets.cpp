// Packets in the midst of a connection that was accepted. They are NEW to conntrack where their entry has expired, and
// INVALID where it saw a part of them only, or does not take up connections in their midst: rules that no first packet
// meets decide about them then. Told only of what was seen on the wire to come here again and again, and to go no
// further.
//
// Sources: net/netfilter/nf_conntrack_proto_tcp.c (tcp_new, nf_conntrack_tcp_packet).
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <set>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/connections/connection_findings.h"
#include "daemon/diagnose/rules/connections/entries.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kStalledMax = 4;  // walked at most
constexpr std::uint8_t kPushAck = 24;

AskedPacket PacketOf(const RuleCase& rules, const StalledStream& stalled, std::uint32_t state) {
  AskedPacket asked;
  Packet& packet = asked.packet;
  packet.family = stalled.ends.source.family;
  packet.source = stalled.ends.source;
  packet.destination = stalled.ends.destination;
  packet.protocol = IPPROTO_TCP;
  packet.source_port = NumberRange{stalled.ends.source_port, stalled.ends.source_port};
  packet.destination_port = NumberRange{stalled.ends.destination_port, stalled.ends.destination_port};
  packet.tcp_flags = kPushAck;
  packet.state = state;
  packet.source_is_local = false;
  packet.destination_is_local = rules.inputs.host.IsLocal(stalled.ends.destination);
  if (const Link* link = rules.inputs.host.LinkOf(stalled.in_link)) packet.in = InterfaceOf(*link);
  return asked;
}

// The packet's possible conntrack states, the likeliest first.
std::vector<std::uint32_t> StatesOf(const RuleCase& rules, const EntryOf& entry) {
  const bool takes_up = NumberOf(rules.inputs.host.sysctls, "net/netfilter/nf_conntrack_tcp_loose").value_or(1) != 0;
  if (entry.connection == nullptr)
    return takes_up ? std::vector{kStateNew, kStateInvalid} : std::vector{kStateInvalid, kStateNew};
  const bool half = (entry.connection->status & IPS_SEEN_REPLY) == 0;
  return half ? std::vector{kStateInvalid, kStateNew} : std::vector{kStateEstablished, kStateInvalid};
}

std::string Why(const RuleCase& rules, const EntryOf& entry, std::uint32_t state, Finding& finding) {
  const Sysctls& sysctls = rules.inputs.host.sysctls;
  if (entry.connection != nullptr && (entry.connection->status & IPS_SEEN_REPLY) == 0) {
    finding.decide =
        "where the other direction goes: both have to pass this host, or neither may be asked for its state";
    return "conntrack saw one direction of the connection only (its entry has no reply), so that what follows the "
           "first "
           "packet is INVALID to it";
  }
  if (entry.connection != nullptr) {
    return state == kStateInvalid ? "to conntrack they are INVALID: out of the window that it saw, or it missed a part"
                                  : "they belong to a connection that conntrack knows";
  }
  if (state == kStateInvalid) {
    finding.decide =
        "whether to keep connections that predate their entries, as after a fail-over: "
        "net.netfilter.nf_conntrack_tcp_loose=1 picks them up, conntrackd syncs entries; else peers must reconnect";
    return "conntrack has no entry for the connection, and net.netfilter.nf_conntrack_tcp_loose is 0: what is not the "
           "beginning of a connection is INVALID";
  }
  const auto timeout = NumberOf(sysctls, "net/netfilter/nf_conntrack_tcp_timeout_established");
  finding.decide = fmt::format(
      "who is to keep the connection alive: nf_conntrack_tcp_timeout_established ({} s) over the longest silence of "
      "the "
      "peers, or their keepalives (SO_KEEPALIVE) below it; what has expired has to connect anew",
      timeout ? std::to_string(*timeout) : "?");
  return fmt::format(
      "conntrack has no entry for the connection (any more): an entry goes after {} s of silence "
      "(net.netfilter.nf_conntrack_tcp_timeout_established), and what comes then is NEW, in the midst of a connection",
      timeout ? std::to_string(*timeout) : "?");
}

struct Stop {
  const Decision* decision = nullptr;
  double certainty = 0;
};

Stop FindStop(const RuleCase& rules, const Walk& walk, bool likeliest) {
  if (const Decision* stop = walk.stop()) {
    const bool counts = (stop->rule ? rules.Packets(*stop->rule) : rules.PolicyPackets(stop->base)).has_value();
    const bool grows = (stop->rule ? rules.Growth(*stop->rule) : rules.PolicyGrowth(stop->base)) > 0;
    if (grows) return {stop, 0.94};
    if (!counts) return {stop, likeliest ? 0.85 : 0.6};
    return {};
  }
  for (const Decision& stop : walk.stops) {
    if (stop.rule && rules.Growth(*stop.rule) > 0) return {&stop, 0.7};
  }
  return {};
}

void Tell(const RuleCase& rules, const StalledStream& stalled, std::set<RuleRef>& told, Report& report) {
  const EntryOf entry = FindEntry(rules.inputs.host, stalled.ends);
  bool likeliest = true;
  for (const std::uint32_t state : StatesOf(rules, entry)) {
    const AskedPacket asked = PacketOf(rules, stalled, state);
    const Walk walk = rules.Through(asked);
    const Stop stop = FindStop(rules, walk, std::exchange(likeliest, false));
    if (stop.decision == nullptr) continue;
    if (stop.decision->rule && !told.insert(*stop.decision->rule).second) return;
    Finding finding = StoppedBy(rules, *stop.decision, walk.packet, stop.certainty);
    finding.title += fmt::format(": later packets of the connection from {} to port {}", stalled.ends.source.ToString(),
                                 stalled.ends.destination_port);
    finding.evidence.push_back(
        fmt::format("on the wire: data of {} came {} times and went no further, though the connection was accepted",
                    stalled.ends.source.ToString(), stalled.times));
    // Accepting any packet in mid-connection would be more than the question asks.
    finding.fix.clear();
    finding.decide = fmt::format("who may pass {}", rules.Place(*stop.decision));
    finding.cause = Why(rules, entry, state, finding) + "; " + Symptom(rules, *stop.decision, walk.packet);
    report.findings.push_back(std::move(finding));
    return;
  }
}

}  // namespace

void CheckLaterPackets(const RuleCase& rules, Report& report) {
  if (rules.inputs.watched == nullptr) return;
  std::set<RuleRef> told;
  std::size_t walked = 0;
  for (const StalledStream& stalled : rules.inputs.watched->stalled) {
    const bool lost_here = stalled.in_link != 0 && stalled.out_link == 0;
    if (lost_here && walked++ < kStalledMax) Tell(rules, stalled, told, report);
  }
  if (!rules.inputs.watched->stalled.empty() || rules.inputs.question.source || rules.inputs.question.destination)
    report.checked.push_back(
        fmt::format("what follows the first packet, on the wire: {} streams of data get no further",
                    rules.inputs.watched->stalled.size()));
}

}  // namespace conntally::diagnose
