// Drops outside the rules of nftables and iptables, and answers that leave by another link than the packets came.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "daemon/diagnose/facts/watched_text.h"
#include "daemon/diagnose/host/host_findings.h"

namespace conntally::diagnose {
namespace {

bool Fails(const Case& facts) {
  return !facts.watched->stalled.empty() ||
         std::any_of(facts.watched->flows.begin(), facts.watched->flows.end(), [&](const WatchedFlow& flow) {
           return facts.watched->IsUnanswered(flow) || facts.watched->IsAnswerLost(flow);
         });
}

// A packet that a link's queueing discipline or filter drops is still seen arriving (tc ingress is after the taps), or
// is not seen leaving, and no rule counts it.
void CheckTrafficControl(const Case& facts, Report& report) {
  for (const Link& link : *facts.host.links) {
    for (const char* where : {"ingress", "root"}) {
      const std::uint64_t growth = facts.Growth(fmt::format("Queue.{}.{}", link.name, where));
      if (growth == 0) continue;
      const bool ingress = std::string_view(where) == "ingress";
      Finding finding;
      finding.id = FindingId::kDropRule;
      finding.certainty = ingress ? 0.75 : 0.5;
      finding.title = fmt::format("Traffic control at {} of {} dropped {} packets meanwhile, perhaps of this traffic",
                                  ingress ? "the filters (clsact, ingress)" : "the queue", link.name, Grouped(growth));
      finding.evidence = {fmt::format("tc -s qdisc show dev {}: {} more were dropped in the last {}", link.name,
                                      Grouped(growth), Lasting(facts.ObservedSeconds()))};
      finding.cause = "tc's filters and queues drop outside of the firewall: no rule of nftables or iptables sees it";
      finding.decide =
          fmt::format("which filter it is, and whether it is wanted: `tc filter show dev {} {}`", link.name, where);
      report.findings.push_back(std::move(finding));
    }
  }
}

// Drops that the kernel counts by cause, and that no rule sees: linux/snmp.h, and for IPsec
// Documentation/networking/xfrm/xfrm_proc.rst.
struct CountedDrop {
  const char* counter;
  const char* by;
  const char* meaning;
  const char* look;  // the command to examine it
};
constexpr const char* kPolicies = "`ip xfrm policy`, `ip -s xfrm state`";
constexpr const char* kHops = "`traceroute` from the sender, and the routes back: does a packet come here twice?";
constexpr const char* kOffload = "`ethtool -k` here and at the sender: checksums that nobody computes";
constexpr const char* kKeys = "the TCP MD5 or AO keys of both ends, as of BGP";
constexpr auto kCountedDrops = std::to_array<CountedDrop>({
    {"XfrmInPolBlock", "IPsec", "a policy of action block is for what comes in or is forwarded", kPolicies},
    {"XfrmOutPolBlock", "IPsec", "a policy of action block is for what goes out", kPolicies},
    {"XfrmInTmplMismatch", "IPsec", "a policy wants it encrypted, and it came in the clear or by another state",
     kPolicies},
    {"XfrmInNoPols", "IPsec", "it came encrypted, and no policy is for it", kPolicies},
    {"XfrmInNoStates", "IPsec", "it came encrypted by a state that this host does not have", kPolicies},
    {"XfrmInStateExpired", "IPsec", "the state that it came by has expired", kPolicies},
    {"XfrmInStateProtoError", "IPsec", "it could not be decrypted: the keys or algorithms differ", kPolicies},
    {"XfrmInStateSeqError", "IPsec", "its sequence number was seen before, or is out of the window", kPolicies},
    {"XfrmOutNoStates", "IPsec", "a policy wants it encrypted, and there is no state for that", kPolicies},
    {"XfrmOutBundleGenError", "IPsec", "a policy wants it encrypted, and there is no way to", kPolicies},
    {"XfrmOutStateExpired", "IPsec", "the state that encrypts it has expired", kPolicies},
    {"Ip.InHdrErrors", "The kernel", "its time to live ran out here, or its IP header is broken", kHops},
    {"Ip6InHdrErrors", "The kernel", "its hop limit ran out here, or its IP header is broken", kHops},
    {"Tcp.InCsumErrors", "The kernel", "its TCP checksum is wrong", kOffload},
    {"Udp.InCsumErrors", "The kernel", "its UDP checksum is wrong", kOffload},
    {"TcpExt.TCPMD5NotFound", "The kernel", "it lacks the signature (RFC 2385) that the socket wants", kKeys},
    {"TcpExt.TCPMD5Unexpected", "The kernel", "it has a signature (RFC 2385) that the socket does not want", kKeys},
    {"TcpExt.TCPMD5Failure", "The kernel", "its signature (RFC 2385) is wrong", kKeys},
});

void CheckCountedDrops(const Case& facts, Report& report) {
  for (const CountedDrop& drop : kCountedDrops) {
    const std::uint64_t growth = facts.Growth(drop.counter);
    if (growth == 0) continue;
    Finding finding;
    finding.id = FindingId::kDropRule;
    finding.certainty = 0.75;
    finding.title = fmt::format("{} dropped {} packets meanwhile, perhaps of this traffic: {}", drop.by,
                                Grouped(growth), drop.meaning);
    finding.evidence = {fmt::format("{} rose by {} in the last {} (`nstat`, /proc/net/xfrm_stat)", drop.counter,
                                    Grouped(growth), Lasting(facts.ObservedSeconds()))};
    finding.cause = "this is dropped outside of the firewall: no rule of nftables or iptables sees it";
    finding.decide = std::string("whether it is this traffic, and what is wrong with it: ") + drop.look;
    report.findings.push_back(std::move(finding));
    return;
  }
}

// Answers leave by another link than the packets come by, and whoever asked does not go on. A firewall on that path
// does not know the connection, or the path may not lead back at all.
void CheckWayOfAnswers(const Case& facts, Report& report) {
  for (const WatchedFlow& flow : facts.watched->flows) {
    const Link *came = facts.host.LinkOf(flow.in_link), *left = facts.host.LinkOf(flow.answered_by_link);
    if (!facts.watched->IsAnswerLost(flow) || came == nullptr || left == nullptr || came == left) continue;
    if (came->kind == "vrf" || left->kind == "vrf") continue;  // a VRF sees only part of what its links see
    const std::string source = flow.source.ToString();
    Finding finding;
    finding.id = FindingId::kNoRoute;
    finding.certainty = 0.9;
    finding.title = fmt::format("Packets of {} arrive by {}, and their answers leave by {}: the answers are lost",
                                source, came->name, left->name);
    if (flow.asked_again > 0)
      finding.evidence = {fmt::format("connection attempts from port {} went on after the answer had left: {} times",
                                      flow.source_port, flow.asked_again)};
    TellWatched(facts, finding);
    finding.cause =
        "answers take the route to the source, whichever way its packets came; on that way a firewall has not seen the "
        "connection begin, or nobody knows the source";
    finding.decide = fmt::format(
        "how answers to {} are to leave by {}: a route to it, or `ip rule` with a table of routes for {}'s address",
        source, came->name, came->name);
    report.findings.push_back(std::move(finding));
    return;
  }
}

// Datagrams are answered from another address of this host than was asked: whoever asked knows nothing of it.
void CheckSourceOfAnswers(const Case& facts, Report& report) {
  for (const WatchedFlow& flow : facts.watched->flows) {
    if (flow.answer != WatchedFlow::Answer::kFromAnother || !flow.answered_by || !flow.answered_from_here ||
        !facts.host.IsLocal(flow.destination) || !facts.host.IsLocal(*flow.answered_by))
      continue;
    const std::string asked = flow.destination.ToString(), from = flow.answered_by->ToString();
    Finding finding;
    finding.id = FindingId::kListenerOtherAddress;
    finding.certainty = 0.93;
    finding.title =
        fmt::format("{} asks {}, and the answers leave from {}: it discards them", flow.source.ToString(), asked, from);
    TellWatched(facts, finding);
    finding.cause = fmt::format(
        "a socket that is bound to no address answers from the one that the route to {} prefers, unless the service "
        "says from which (IP_PKTINFO); a client takes answers only from the address that it asked",
        flow.source.ToString());
    finding.decide =
        fmt::format("let the service listen on {} itself, besides its other addresses, or ask {}", asked, from);
    report.findings.push_back(std::move(finding));
    return;
  }
}

}  // namespace

void CheckOutsideTheFirewall(const Case& facts, Report& report) {
  if (!facts.watched || !facts.host.links) return;
  CheckWayOfAnswers(facts, report);
  CheckSourceOfAnswers(facts, report);
  if (!facts.host.first.network || !facts.host.last.network || !Fails(facts)) return;
  CheckTrafficControl(facts, report);
  CheckCountedDrops(facts, report);
}

}  // namespace conntally::diagnose
