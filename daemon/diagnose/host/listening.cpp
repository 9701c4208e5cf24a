#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "collectors/tally/protocol_names.h"
#include "daemon/diagnose/facts/watched_text.h"
#include "daemon/diagnose/host/host_findings.h"

namespace conntally::diagnose {
namespace {

bool IsAny(const IpAddress& address) {
  return std::all_of(address.bytes.begin(), address.bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

std::string Place(const ListeningSocket& socket) {
  const bool bracketed = socket.address.family == Family::kIpv6;
  return fmt::format("{}{}{}:{}", bracketed ? "[" : "", socket.address.ToString(), bracketed ? "]" : "", socket.port);
}

// The socket that the traffic must reach.
struct Wanted {
  std::uint8_t protocol = IPPROTO_TCP;
  std::uint16_t port = 0;
  std::optional<IpAddress> address;  // absent: one of this host's
  std::optional<Family> family;
  bool from_here = false;  // loopback addresses count too
  std::uint32_t link = 0;  // by which it arrives; 0: unknown
};

bool Takes(const ListeningSocket& socket, const Wanted& wanted) {
  const bool of_family = !wanted.family || socket.address.family == *wanted.family || socket.both_families;
  if (!of_family || (socket.link != 0 && wanted.link != 0 && socket.link != wanted.link)) return false;
  if (IsAny(socket.address)) return true;
  if (wanted.address) return socket.address == *wanted.address;
  return wanted.from_here || !IsLoopback(socket.address);
}

std::string Service(const Wanted& wanted) {
  return fmt::format("{} port {}", ProtocolName(wanted.protocol), wanted.port);
}

void AddWatched(const Case& facts, Finding& finding) {
  TellWatched(facts, finding);
  if (!facts.watched) return;
  const bool refused =
      std::any_of(facts.watched->flows.begin(), facts.watched->flows.end(), [](const WatchedFlow& flow) {
        return flow.answer == WatchedFlow::Answer::kReset || flow.answer == WatchedFlow::Answer::kUnreachable;
      });
  if (refused) finding.certainty = std::min(0.97, finding.certainty + 0.02);
}

std::string WhatRulesDo(const Case& facts) {
  switch (facts.outcome.passes) {
    case Match::kYes: return "; no firewall is at work there";
    case Match::kNo: return ", where a rule does not stop it before";
    case Match::kMaybe: break;
  }
  return ", unless a rule stops it before, which is not known";
}

void AddNoListener(const Case& facts, const Wanted& wanted, Report& report) {
  Finding finding;
  finding.id = FindingId::kNoListener;
  finding.title = "Nobody listens on " + Service(wanted) +
                  (facts.outcome.passes == Match::kYes ? ": the refusal is the host's own" : "");
  finding.certainty = 0.94;
  finding.evidence.push_back("no socket listens on " + Service(wanted) + " in this network namespace");
  if (facts.outcome.redirected_to)
    finding.evidence.push_back(fmt::format("a rule redirects port {} to it", *facts.question.destination_port));
  AddWatched(facts, finding);
  finding.cause = std::string(wanted.protocol == IPPROTO_UDP
                                  ? "the host answers with ICMP \"port unreachable\" unless a rule keeps it"
                                  : "the host answers with a reset (\"Connection refused\") at once") +
                  WhatRulesDo(facts);
  facts.HoldAgainstRules(finding);
  Fix fix;
  fix.command = fmt::format("ss {}  # is the service up, and in this namespace? systemctl --failed",
                            wanted.protocol == IPPROTO_UDP ? "-anup" : "-ltnp");  // -l leaves out connected UDP
  fix.risk = "none: it only looks";
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

void AddOtherAddress(const Case& facts, const Wanted& wanted, const std::vector<ListeningSocket>& others,
                     Report& report) {
  Finding finding;
  finding.id = FindingId::kListenerOtherAddress;
  const bool only_loopback = std::all_of(others.begin(), others.end(),
                                         [](const ListeningSocket& socket) { return IsLoopback(socket.address); });
  finding.title = fmt::format("{} is listened on at {} only{}", Service(wanted), Place(others.front()),
                              only_loopback ? ", which others cannot reach" : "");
  finding.certainty = wanted.address || facts.question.source ? 0.95 : 0.85;
  for (const ListeningSocket& socket : others) {
    const Link* bound = facts.host.LinkOf(socket.link);
    finding.evidence.push_back("listening: " + Place(socket) + (bound ? ", bound to device " + bound->name : ""));
    if (bound != nullptr && &socket == &others.front()) finding.title += " of device " + bound->name;
  }
  if (wanted.address) finding.evidence.push_back("not listening: " + wanted.address->ToString());
  AddWatched(facts, finding);
  finding.cause =
      "a socket that is bound to one address (or family) takes nothing for another; the host refuses it itself" +
      WhatRulesDo(facts);
  facts.HoldAgainstRules(finding);
  Fix fix;
  fix.command = fmt::format("ss -ln{}p 'sport = :{}'  # then change the service's listen address",
                            wanted.protocol == IPPROTO_UDP ? "u" : "t", wanted.port);
  fix.risk =
      "a service that listened on loopback alone may not be meant for others: see that it asks for credentials first";
  fix.undo = "# the listen address as it was";
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

// The counter is for the whole namespace, so it is reported only if the datagrams in question were seen unanswered.
void CheckDatagrams(const Case& facts, const Wanted& wanted, Report& report) {
  const std::uint64_t full = facts.Growth("Udp.RcvbufErrors") + facts.Growth("Udp6RcvbufErrors");
  if (full == 0) return;
  Finding finding;
  finding.id = FindingId::kListenQueueFull;
  finding.title = "Datagrams are dropped since a socket's buffer is full: perhaps that of " + Service(wanted);
  finding.certainty = facts.watched ? 0.85 : 0.7;
  finding.evidence.push_back(
      fmt::format("{} datagrams found no room in their socket's buffer in the last {} "
                  "(UdpRcvbufErrors, of all sockets)",
                  Grouped(full), Lasting(facts.ObservedSeconds())));
  finding.cause =
      "the service does not read them in time: it hangs, is too slow, or its buffer is too small for bursts";
  Fix fix;
  fix.command = fmt::format("ss -lunpm 'sport = :{}'  # Recv-Q, and d after skmem: what it dropped", wanted.port);
  fix.risk = "none: it only looks";
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

// Each local port serves one connection to a destination: if all are in use, connect(2) fails (EADDRNOTAVAIL).
void CheckOwnPorts(const Case& facts, Report& report) {
  const auto range = facts.host.sysctls.find("net/ipv4/ip_local_port_range");
  if (range == facts.host.sysctls.end() || !facts.question.destination || !facts.host.connections) return;
  unsigned first = 0, last = 0;
  if (std::sscanf(range->second.c_str(), "%u %u", &first, &last) != 2 || last < first) return;
  std::set<std::uint16_t> used;
  for (const Connection& connection : facts.host.connections->connections) {
    const FlowKey& key = connection.key;
    const bool there = key.protocol == IPPROTO_TCP &&
                       IpAddress{key.destination, key.family} == facts.question.destination &&
                       facts.question.destination_port.value_or(key.destination_port) == key.destination_port;
    const bool own = key.source_port >= first && key.source_port <= last && facts.host.IsLocal(key.SourceAddress());
    if (there && own && connection.tcp_state != TcpState::kClose) used.insert(key.source_port);
  }
  const unsigned available = last - first + 1;
  if (used.size() * 100 < std::size_t{available} * 95) return;
  Finding finding;
  finding.id = FindingId::kConnectionLeak;
  finding.title = fmt::format("This host's own ports towards {} are used up", facts.question.destination->ToString());
  finding.certainty = 0.93;
  finding.evidence.push_back(
      fmt::format("{} of {} ports are in connections to it (net.ipv4.ip_local_port_range is {} {})",
                  Grouped(used.size()), Grouped(available), first, last));
  finding.cause =
      "each connection to one address and port needs a port of its own here; without one connect fails at "
      "once (\"Cannot assign requested address\")";
  finding.decide =
      "why so many connections are open at a time: pool or close them; else a wider range, or a second "
      "address to connect from";
  report.findings.push_back(std::move(finding));
}

void CheckQueue(const Case& facts, const Wanted& wanted, const ListeningSocket& socket, Report& report) {
  if (socket.protocol == IPPROTO_UDP) return CheckDatagrams(facts, wanted, report);
  const std::uint64_t overflows = facts.Growth("TcpExt.ListenOverflows");
  if (socket.protocol != IPPROTO_TCP || socket.queued <= socket.queue_max) return;
  Finding finding;
  finding.id = FindingId::kListenQueueFull;
  finding.title = "The service on " + Service(wanted) + " does not accept: its queue is full";
  finding.certainty = 0.92;
  finding.evidence.push_back(
      fmt::format("{} connections wait at {}, which holds {}", socket.queued, Place(socket), socket.queue_max));
  finding.evidence.push_back(fmt::format("{} times a queue overflowed in the last {} (ListenOverflows)",
                                         Grouped(overflows), Lasting(facts.ObservedSeconds())));
  finding.cause =
      "the host drops further SYNs silently until the service takes the connections that wait: it hangs, or is too "
      "slow";
  Fix fix;
  fix.command = fmt::format("ss -ltnp 'sport = :{}'  # Recv-Q over Send-Q; then look into that process", wanted.port);
  fix.risk = "none: it only looks";
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

// A refusal by another host, which cannot be examined from here.
void CheckBehind(const Case& facts, Report& report) {
  if (!facts.watched) return;
  // The watch's filter does not know the translated address: its resets are only seen leaving.
  const auto& translated = facts.outcome.translated_to;
  std::uint64_t resets = 0;
  for (const WatchedFlow& flow : facts.watched->flows) {
    const bool of_another = !flow.answered_from_here && !facts.host.IsLocal(flow.destination);
    const bool of_translated = translated && facts.outcome.passes == Match::kYes;
    resets += flow.answer == WatchedFlow::Answer::kReset && (of_another || of_translated);
  }
  if (resets == 0 || (!facts.question.destination && !translated)) return;
  Finding finding;
  finding.id = FindingId::kNoListener;
  finding.title = fmt::format("{} refuses by itself: its reset arrives here",
                              (translated ? translated->address : *facts.question.destination).ToString());
  finding.certainty = 0.85;
  if (translated) {
    finding.evidence.push_back(
        fmt::format("a rule translates the asked traffic to {}{}: {}", translated->address.ToString(),
                    translated->port ? fmt::format(" port {}", *translated->port) : "", translated->rule));
  }
  TellWatched(facts, finding);
  finding.cause =
      "nobody listens there, or a firewall between here and there answers in its name; this host lets the packets "
      "through";
  Fix fix;
  fix.command = "# on that host: ss -ltn";
  fix.risk = "none: it only looks";
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

// The address of this host that refused the watched traffic, if the question names none.
std::optional<IpAddress> RefusedAddress(const Case& facts) {
  std::optional<IpAddress> refused;
  if (!facts.watched) return refused;
  for (const WatchedFlow& flow : facts.watched->flows) {
    if (flow.answer != WatchedFlow::Answer::kReset || !facts.host.IsLocal(flow.destination)) continue;
    if (refused && *refused != flow.destination) return std::nullopt;
    refused = flow.destination;
  }
  return refused;
}

}  // namespace

void CheckListeners(const Case& facts, Report& report) {
  const Question& question = facts.question;
  if (facts.outcome.translated_to) return CheckBehind(facts, report);
  const bool redirected = facts.outcome.redirected_to.has_value();
  if (!facts.host.routes.destination_is_local && !redirected) {
    if (!question.source || facts.host.routes.source_is_local) CheckOwnPorts(facts, report);
    return CheckBehind(facts, report);
  }
  const std::uint8_t protocol = question.protocol.value_or(std::uint8_t{IPPROTO_TCP});
  if (!question.destination_port || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)) return;
  if (facts.outcome.destination_translated && !redirected) return;
  if (!facts.host.listeners) {
    report.not_checked.push_back({"who listens", facts.host.listeners.error().message});
    return;
  }
  Wanted wanted{protocol, *question.destination_port, question.destination, {}, facts.host.routes.source_is_local};
  wanted.link = facts.host.routes.in_link;
  if (!wanted.address) wanted.address = RefusedAddress(facts);
  if (redirected) {
    wanted.port = *facts.outcome.redirected_to;
    wanted.address = facts.outcome.redirected_address;
  }
  if (question.destination || question.source)
    wanted.family = (question.destination ? question.destination : question.source)->family;

  std::vector<ListeningSocket> others;
  const ListeningSocket* taker = nullptr;
  for (const ListeningSocket& socket : *facts.host.listeners) {
    if (socket.protocol != protocol || socket.port != wanted.port) continue;
    // A VRF's socket receives packets from the links in the VRF.
    const Link* bound = facts.host.LinkOf(socket.link);
    Wanted by_device = wanted;
    if (bound != nullptr && bound->kind == "vrf") by_device.link = 0;
    if (Takes(socket, by_device)) {
      taker = &socket;
    } else {
      others.push_back(socket);
    }
  }
  if (taker != nullptr) {
    report.checked.push_back(fmt::format("who listens: {} at {}", Service(wanted), Place(*taker)));
    return CheckQueue(facts, wanted, *taker, report);
  }
  report.checked.push_back("who listens: nobody where the traffic is for");
  if (others.empty()) return AddNoListener(facts, wanted, report);
  AddOtherAddress(facts, wanted, others, report);
}

}  // namespace conntally::diagnose
