#include "daemon/diagnose/rules/connections/answers.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/rules/connections/connection_findings.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

constexpr std::uint8_t kAck = 16, kSynAck = 18;

// The packets that follow the first one. Their destination is translated by conntrack itself, before all but the raw
// tables.
AskedPacket FollowingOf(const AskedPacket& asked, const Walk& walk) {
  AskedPacket following = asked;
  following.packet.destination = walk.packet.destination;
  following.packet.destination_port = walk.packet.destination_port;
  following.packet.destination_is_local = walk.packet.destination_is_local;
  following.packet.status = walk.packet.status;
  following.packet.state = kStateEstablished;
  following.packet.tcp_flags = kAck;
  return following;
}

void AcceptEstablished(const RuleCase& rules, const Decision& stop, const Packet& packet, Finding& finding) {
  auto accept = packet.state == kStateUntracked ? rules.commands.AcceptAnswersTo(stop, packet)
                                                : rules.commands.AcceptAnswers(stop, packet);
  if (accept) {
    finding.fix.push_back(*std::move(accept));
  } else {
    finding.decide = "how packets of established connections pass " + rules.Place(stop) +
                     "; no command is offered for that: " + accept.error().message;
  }
}

// Rules for established connections do not match untracked packets.
void TellUntracked(const RuleCase& rules, const Walk& walk, const Decision& stop, const std::string& whose,
                   Finding& finding) {
  const Rule& untracks = rules.walker.rule(*walk.untracked_by);
  finding.title = fmt::format("Chain {} stops {}: they are UNTRACKED, by rule {} of chain {}",
                              rules.walker.chain(stop.base).name, whose, untracks.position + 1, untracks.chain);
  finding.evidence.push_back("conntrack is told not to see them by " + rules.commands.Place(*walk.untracked_by));
  finding.cause = "a rule for ESTABLISHED or RELATED does not take packets that conntrack does not see; " +
                  Symptom(rules, stop, walk.packet);
  AcceptEstablished(rules, stop, walk.packet, finding);
}

void Tell(const RuleCase& rules, const Walk& walk, const Decision& stop, const AskedPacket& packet,
          const std::string& whose, double certainty, Report& report) {
  if (report.Has(FindingId::kEstablishedNotAccepted)) return;
  const RuleChain& base = rules.walker.chain(stop.base);
  Finding finding;
  finding.id = FindingId::kEstablishedNotAccepted;
  finding.certainty = certainty;
  finding.evidence = {"stopped by " + rules.Place(stop), rules.Counted(stop)};
  finding.cures = {{packet}};
  if (walk.packet.state == kStateUntracked && walk.untracked_by) {
    TellUntracked(rules, walk, stop, whose, finding);
    report.findings.push_back(std::move(finding));
    return;
  }
  const bool behind = stop.rule && walk.late_accept && walk.late_accept->rule;
  if (behind) {
    const Rule& accept = rules.walker.rule(*walk.late_accept->rule);
    finding.title = fmt::format("Chain {} accepts established connections only in line {}, behind a rule that stops {}",
                                accept.chain, accept.position + 1, whose);
    finding.evidence.push_back("accepts too late: " + rules.commands.Place(*walk.late_accept->rule));
  } else {
    finding.title =
        fmt::format("Chain {} does not accept packets of established connections: it stops {}", base.name, whose);
    finding.evidence.push_back(
        fmt::format("no rule of the {} hook accepts ESTABLISHED,RELATED before that", base.hook));
  }
  finding.cause = "the first packet of a connection passes, but " + whose +
                  " do not, so connections never come about or hang; " + Symptom(rules, stop, walk.packet);
  AcceptEstablished(rules, stop, walk.packet, finding);
  report.findings.push_back(std::move(finding));
}

// Rules with limits but without a state, on the path of established packets: they count these too, and stop some.
void TellLimited(const RuleCase& rules, const Walk& walk, Report& report) {
  for (const RuleRef ref : walk.limited) {
    const Rule& rule = rules.walker.rule(ref);
    const bool stops =
        rule.limits.front().matches_above && (rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject);
    if (!stops || rules.Growth(ref) == 0 || report.Has(FindingId::kEstablishedNotAccepted)) continue;
    Finding finding;
    finding.id = FindingId::kEstablishedNotAccepted;
    finding.certainty = 0.6;
    finding.title = fmt::format("Rule {} of chain {} limits packets of established connections, too, and stops some",
                                rule.position + 1, rule.chain);
    finding.evidence = {rules.commands.Place(ref),
                        fmt::format("it stopped {} packets during this observation", rules.Growth(ref))};
    finding.cause = "the limit comes before ESTABLISHED,RELATED is accepted, so a busy connection is taken for many";
    finding.decide = fmt::format(
        "where established connections are accepted: before rule {} of chain {}, if the limit is not meant for them",
        rule.position + 1, rule.chain);
    report.findings.push_back(std::move(finding));
  }
}

// Rules of which it is not known whether they stop it: those that stopped something are told, and all are what was not
// checked.
void TellDoubt(const RuleCase& rules, const Walk& first, const Walk& walk, const AskedPacket& packet,
               const std::string& whose, Report& report) {
  if (walk.passes != Match::kMaybe || !rules.narrowed()) return;
  for (const Unevaluated& open : walk.unevaluated) {
    const Unchecked line{rules.commands.Place(open.rule), open.why + ", for " + whose};
    const bool told = std::any_of(report.not_checked.begin(), report.not_checked.end(),
                                  [&](const Unchecked& each) { return each.what == line.what; });
    if (!told) report.not_checked.push_back(line);
  }
  for (const Decision& stop : walk.stops) {
    const bool of_first = std::any_of(first.stops.begin(), first.stops.end(),
                                      [&](const Decision& each) { return each.rule == stop.rule; });
    if (!stop.rule || of_first || rules.Packets(*stop.rule).value_or(0) == 0) continue;
    const std::uint64_t growth = rules.Growth(*stop.rule);
    return Tell(rules, walk, stop, packet, whose, growth > 0 ? std::max(CertaintyOfGrowth(rules, growth), 0.5) : 0.45,
                report);
  }
}

std::string ZoneText(const RuleCase& rules, const Walk& walk) {
  const std::string zone = fmt::format("zone {}", *walk.packet.zone);
  return walk.zone_by ? zone + ", by " + rules.commands.Place(*walk.zone_by) : zone + ", since no rule sets another";
}

// Conntrack looks for the connection of an answer in the answer's own zone. In another one it begins nothing: a SYN/ACK
// is INVALID there, and others are NEW, untranslated.
bool TellOtherZone(const RuleCase& rules, const Walk& first, const Walk& answers, AskedPacket answer, double certainty,
                   Report& report) {
  if (!first.packet.zone || !answers.packet.zone) {
    report.not_checked.push_back({"whether answers are tracked in the zone of their requests",
                                  "a rule sets a zone that depends on more than was asked"});
    return false;
  }
  if (*first.packet.zone == *answers.packet.zone) return false;
  answer.packet.state = answer.packet.protocol == IPPROTO_TCP ? kStateInvalid : kStateNew;
  const Walk alone = rules.Through(answer);
  const Decision* stop = alone.stop();
  if ((stop == nullptr && !first.source_nat && !first.destination_nat) || report.Has(FindingId::kInvalidPackets))
    return true;
  Finding finding;
  finding.id = FindingId::kInvalidPackets;
  finding.certainty = certainty;
  finding.title = fmt::format("Conntrack looks for the answers in zone {}, and the connection is in zone {}",
                              *answers.packet.zone, *first.packet.zone);
  finding.evidence = {"requests are in " + ZoneText(rules, first), "answers are in " + ZoneText(rules, answers)};
  if (stop != nullptr) {
    finding.evidence.push_back("the answers are stopped by " + rules.Place(*stop));
    finding.evidence.push_back(rules.Counted(*stop));
  } else {
    finding.evidence.push_back("the connection is translated, and in another zone nothing translates its answers back");
  }
  finding.cause =
      "an answer that conntrack does not find in its zone is no answer of an established connection to any rule";
  finding.decide = "which zone the connection belongs to: a rule of the same chain is to put its answers into that one";
  report.findings.push_back(std::move(finding));
  return true;
}

void CheckOne(const RuleCase& rules, const AskedPacket& asked, double certainty, Report& report) {
  const Walk first = rules.Through(asked);
  if (first.passes == Match::kNo) return;
  const bool to_itself = asked.leaves && first.packet.destination_is_local == true;
  if (!to_itself) {
    const AskedPacket answer = AnswerTo(asked, first);
    const Walk answers = rules.Through(answer);
    if (TellOtherZone(rules, first, answers, answer, certainty, report)) return;
    if (const Decision* stop = answers.stop())
      return Tell(rules, answers, *stop, answer,
                  asked.leaves ? "the answers to this host's own connections" : "answers", certainty, report);
    TellLimited(rules, answers, report);
    TellDoubt(rules, first, answers, answer, "answers", report);
  }
  const AskedPacket next = FollowingOf(asked, first);
  const Walk following = rules.Through(next);
  if (const Decision* stop = following.stop())
    return Tell(rules, following, *stop, next, "all packets after the first", certainty, report);
  TellLimited(rules, following, report);
  TellDoubt(rules, first, following, next, "packets after the first", report);
}

}  // namespace

AskedPacket AnswerTo(const AskedPacket& asked, const Walk& walk) {
  AskedPacket answer;
  Packet& packet = answer.packet;
  packet = walk.packet;
  std::swap(packet.source, packet.destination);
  std::swap(packet.source_port, packet.destination_port);
  packet.destination = asked.packet.source;  // conntrack has reversed its translation
  if (packet.icmp_type == 8) packet.icmp_type = 0;
  if (packet.icmp_type == 128) packet.icmp_type = 129;
  packet.tcp_flags = kSynAck;
  packet.state = kStateEstablished;
  packet.mark = 0;
  packet.zone = 0;
  packet.reverse_path = true;
  answer.bridged = asked.bridged;
  if (asked.bridged) {
    packet.in = asked.packet.in;
    packet.source_is_local = packet.destination_is_local = false;
  } else if (asked.leaves) {
    packet.in = walk.packet.out;
    packet.out.reset();
    packet.source_is_local = false;
    packet.destination_is_local = true;
  } else if (walk.forwarded) {
    packet.in = walk.packet.out;
    packet.out = asked.packet.in;
    packet.source_is_local = packet.destination_is_local = false;
  } else {
    answer.leaves = true;
    packet.out = asked.packet.in;
    packet.source_is_local = true;
    packet.destination_is_local = false;
  }
  return answer;
}

void CheckAnswers(const RuleCase& rules, Report& report) {
  for (const AskedPacket& seen : rules.SeenToFail()) CheckOne(rules, seen, 0.9, report);
  if (rules.narrowed()) {
    for (const AskedPacket& asked : rules.Asked()) CheckOne(rules, asked, 0.97, report);
    report.checked.push_back(
        "the rules, in order, for the answers to that traffic, and for what follows its first packet");
    return;
  }
  // Connections of this host's own, to anybody.
  for (const Link* link : rules.OuterLinks()) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      const auto address = rules.AddressOn(link->index, family);
      if (!address || IsOfLinkAlone(*address)) continue;
      AskedPacket own;
      own.leaves = true;
      own.packet.family = family;
      own.packet.source = address;
      own.packet.protocol = IPPROTO_TCP;
      own.packet.source_port = kClientPorts;
      own.packet.tcp_flags = 2;
      own.packet.out = InterfaceOf(*link);
      own.packet.source_is_local = true;
      own.packet.destination_is_local = false;
      CheckOne(rules, own, 0.6, report);
    }
  }
  report.checked.push_back("whether the answers to this host's own connections are let in");
}

}  // namespace conntally::diagnose
