#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/facts/refusal.h"
#include "daemon/diagnose/rules/stopped/stop_findings.h"

namespace conntally::diagnose {
namespace {

// A rule that is not known to match counts, and the one behind it, which would stop the packet for certain, does not.
constexpr double kToldByCounters = 0.65;
constexpr double kStoppedBefore = 0.5;
constexpr double kMayBeStoppedBefore = 0.9;

// If one backend accepts a packet, another may still stop it.
std::string Cause(const RuleCase& rules, const Decision& stop, const Packet& packet) {
  const RuleChain& base = rules.walker.chain(stop.base);
  std::string cause =
      fmt::format("of all rules of the {} hook, in the order in which the kernel asks them, this {} decides: {}",
                  base.hook, stop.rule ? "rule" : "policy", Symptom(rules, stop, packet));
  if (stop.certainty != Match::kYes)
    cause += "; rules before it that could not be told for certain may let some of it pass";
  return cause;
}

bool AsksForTheSource(const RuleCondition& condition) {
  const auto part_does = [](const std::vector<RuleCondition>& parts) {
    return std::any_of(parts.begin(), parts.end(), AsksForTheSource);
  };
  return condition.kind == RuleCondition::Kind::kSource ||
         std::any_of(condition.alternatives.begin(), condition.alternatives.end(), part_does);
}

// Whether the decision depends on the source: a ban, or a list of permitted sources.
bool IsAboutTheSource(const RuleCase& rules, const Decision& decision) {
  std::vector<RuleRef> refs = decision.jumps;
  if (decision.rule) refs.push_back(*decision.rule);
  return std::any_of(refs.begin(), refs.end(), [&](const RuleRef ref) {
    const Rule& rule = rules.walker.rule(ref);
    const bool by_map = std::any_of(rule.map.begin(), rule.map.end(), [](const MappedVerdict& mapped) {
      return std::any_of(mapped.key.begin(), mapped.key.end(), AsksForTheSource);
    });
    return by_map || std::any_of(rule.conditions.begin(), rule.conditions.end(), AsksForTheSource);
  });
}

void AddForwardedTranslation(const RuleCase& rules, const Walk& walk, const Decision& stop, double certainty,
                             Report& report) {
  Finding finding;
  finding.id = FindingId::kDnatNotForwarded;
  finding.certainty = certainty;
  finding.title = fmt::format("A DNAT rule sends this traffic to {}, and the forward chain does not let it through",
                              walk.packet.destination ? walk.packet.destination->ToString() : "another host");
  finding.evidence = {rules.commands.Place(*walk.destination_nat), "stopped by " + rules.Place(stop),
                      rules.Counted(stop)};
  finding.cause = "DNAT changes the destination before the forward hook: that hook sees the new address and port (" +
                  Traffic(walk.packet) + "), and needs a rule that accepts them; " + Symptom(rules, stop, walk.packet);
  rules.commands.LetThrough(stop, walk.packet, finding);
  report.findings.push_back(std::move(finding));
}

// Rules before `stop`, one of walk.stops, that may stop the packet first.
std::vector<const Decision*> MayStopBefore(const Walk& walk, const Decision& stop) {
  std::vector<const Decision*> before;
  for (const Decision& each : walk.stops) {
    if (&each == &stop) return before;
    if (each.rule) before.push_back(&each);
  }
  return {};
}

// Of rules before `stop` that may stop the packet first, the one that did if counters tell: it counts, and `stop` does
// not.
const Decision* StopsFirst(const RuleCase& rules, const Walk& walk, const Decision& stop) {
  const auto busiest = [&](const auto& packets) -> const Decision* {
    const Decision* most = nullptr;
    for (const Decision* each : MayStopBefore(walk, stop)) {
      if (packets(*each) > (most == nullptr ? 0 : packets(*most))) most = each;
    }
    return packets(stop) == 0 ? most : nullptr;
  };
  const auto growth = [&](const Decision& each) {
    return each.rule ? rules.Growth(*each.rule) : rules.PolicyGrowth(each.base);
  };
  const auto counted = [&](const Decision& each) {
    return each.rule ? rules.Packets(*each.rule) : rules.PolicyPackets(each.base);
  };
  const auto total = [&](const Decision& each) { return counted(each).value_or(0); };
  if (const Decision* now = busiest(growth)) return now;
  return counted(stop) ? busiest(total) : nullptr;
}

void AddPlainStop(const RuleCase& rules, const Walk& walk, const Decision& stop, const AskedPacket& asked,
                  double certainty, Report& report) {
  for (const Finding& each : report.findings) {
    if (each.id == IdOf(stop) && each.rule == stop.rule && (stop.rule || each.policy == stop.base)) return;
  }
  Finding finding = StoppedBy(rules, stop, walk.packet, certainty);
  finding.title += ": " + Traffic(asked.packet);
  finding.cures = {{asked}};
  if (walk.destination_nat)
    finding.evidence.push_back("translated before, by " + rules.commands.Place(*walk.destination_nat));
  constexpr std::size_t kNamedMost = 2;
  const auto before = MayStopBefore(walk, stop);
  for (std::size_t i = 0; i < std::min(before.size(), kNamedMost); ++i) {
    finding.evidence.push_back(
        fmt::format("not known: whether {} stops it first ({})", rules.Place(*before[i]),
                    WordsOf(before[i]->by_itself, rules.walker.rule(*before[i]->rule).not_understood)));
  }
  if (walk.path.size() > 1) finding.evidence.push_back("passed before: " + WayThrough(rules, walk));
  report.findings.push_back(std::move(finding));
}

void TellQueue(const RuleCase& rules, const RuleQueue& queue, Finding& finding) {
  const std::uint32_t first = queue.numbers.first;
  if (!rules.inputs.host.Hangs(first)) {
    finding.title += ": nobody listens at its queue";
    finding.evidence.push_back(
        "/proc/net/netfilter/nfnetlink_queue lists no program at that queue, and the rule does not bypass it");
    return;
  }
  finding.title += ": the program at its queue does not decide";
  finding.evidence.push_back(fmt::format(
      "/proc/net/netfilter/nfnetlink_queue: {} packets wait at queue {}, and in {} its program decided on none",
      rules.inputs.host.last.queues->at(first).waiting, first, Lasting(rules.seconds())));
}

}  // namespace

void AddStopped(const RuleCase& rules, const Walk& walk, const Decision& stop, const AskedPacket& asked,
                double certainty, Report& report) {
  if (const Decision* first = StopsFirst(rules, walk, stop)) {
    AddPlainStop(rules, walk, *first, asked, std::min(certainty, kToldByCounters), report);
    certainty = std::min(certainty, kStoppedBefore);
  } else if (!MayStopBefore(walk, stop).empty()) {
    certainty = std::min(certainty, kMayBeStoppedBefore);
  }
  const bool late = stop.rule && walk.late_accept && walk.late_accept->rule && walk.late_accept->base == stop.base;
  // A ban by address on purpose comes before accepts for everybody: moving the accept first would lift all bans.
  const bool on_purpose =
      stop.rule && IsAboutTheSource(rules, stop) && !(late && IsAboutTheSource(rules, *walk.late_accept));
  if (on_purpose) {
    AddPlainStop(rules, walk, stop, asked, certainty, report);
    certainty *= 0.5;
  }
  if (walk.forwarded && walk.destination_nat && rules.walker.chain(stop.base).hook == "forward" &&
      !report.Has(FindingId::kDnatNotForwarded)) {
    AddForwardedTranslation(rules, walk, stop, certainty, report);
    report.findings.back().cures = {{asked}};
    certainty -= 0.03;
  }
  if (late && !report.Has(FindingId::kLateAccept)) {
    report.findings.push_back(LateAccept(rules, walk, stop, certainty));
    report.findings.back().cures = {{asked}};
    certainty -= 0.02;
  }
  if (!on_purpose) AddPlainStop(rules, walk, stop, asked, certainty, report);
}

std::string WayThrough(const RuleCase& rules, const Walk& walk) {
  std::string way;
  for (const ChainRef ref : walk.path) {
    const RuleChain& chain = rules.walker.chain(ref);
    way += fmt::format("{}{} {} {}", way.empty() ? "" : ", ", NameOf(chain.family), chain.table, chain.name);
  }
  return way;
}

std::string Traffic(const Packet& packet) {
  std::string text = "traffic";
  if (packet.protocol) {
    switch (*packet.protocol) {
      case IPPROTO_TCP: text = "TCP"; break;
      case IPPROTO_UDP: text = "UDP"; break;
      case IPPROTO_ICMP: text = "ICMP"; break;
      case IPPROTO_ICMPV6: text = "ICMPv6"; break;
      default: text = "protocol " + std::to_string(*packet.protocol);
    }
  }
  if (packet.source) text += " from " + packet.source->ToString();
  if (packet.destination && packet.destination_is_local != true) text += " to " + packet.destination->ToString();
  if (packet.destination_port && packet.destination_port->first == packet.destination_port->last) {
    text += " to port " + std::to_string(packet.destination_port->first);
  } else if (packet.source_port && packet.source_port->first == packet.source_port->last) {
    text += " from port " + std::to_string(packet.source_port->first);
  }
  return text;
}

FindingId IdOf(const Decision& stop) {
  if (!stop.rule) return FindingId::kDropPolicy;
  return stop.verdict == Verdict::kReject ? FindingId::kRejectRule : FindingId::kDropRule;
}

std::string Symptom(const RuleCase& rules, const Decision& stop, const Packet& packet) {
  const bool tcp = !packet.protocol || *packet.protocol == IPPROTO_TCP;
  if (stop.verdict != Verdict::kReject)
    return tcp ? "it drops silently, so a client waits until it times out"
               : "it drops silently, so a client hears nothing";
  const bool reset = stop.rule && rules.walker.rule(*stop.rule).tcp_reset;
  return reset ? "it answers with a RST, so a client is told at once \"Connection refused\""
               : "it answers with an ICMP error, so a client is told at once (\"Connection refused\", \"No route to "
                 "host\" ...)";
}

Finding StoppedBy(const RuleCase& rules, const Decision& stop, const Packet& packet, double certainty) {
  Finding finding;
  finding.id = IdOf(stop);
  finding.rule = stop.rule;
  finding.stops_meanwhile = stop.rule && rules.Growth(*stop.rule) > 0;
  if (!stop.rule) finding.policy = stop.base;
  finding.certainty = certainty;
  const RuleChain& base = rules.walker.chain(stop.base);
  if (stop.rule) {
    const Rule& rule = rules.walker.rule(*stop.rule);
    finding.title = fmt::format("Rule {} of chain {} {} it", rule.position + 1, rule.chain,
                                stop.verdict == Verdict::kReject ? "rejects" : "drops");
  } else {
    finding.title = fmt::format("No rule of chain {} accepts it, and the chain's policy drops it", base.name);
  }
  finding.evidence = {rules.Place(stop), rules.Counted(stop)};
  if (stop.rule && rules.walker.rule(*stop.rule).queue) {
    TellQueue(rules, *rules.walker.rule(*stop.rule).queue, finding);
  }
  TellOwner(rules, stop, packet, finding);
  finding.cause = Cause(rules, stop, packet);
  rules.commands.LetThrough(stop, packet, finding);
  return finding;
}

Finding LateAccept(const RuleCase& rules, const Walk& walk, const Decision& stop, double certainty) {
  const Rule& late = rules.walker.rule(*walk.late_accept->rule);
  const Rule& stops = rules.walker.rule(*stop.rule);
  Finding finding;
  finding.id = FindingId::kLateAccept;
  finding.certainty = certainty;
  finding.title = fmt::format("Rule {} of chain {} would accept it, but comes after rule {} of chain {}, which {} it",
                              late.position + 1, late.chain, stops.position + 1, stops.chain,
                              stop.verdict == Verdict::kReject ? "rejects" : "drops");
  finding.evidence = {"accepts: " + rules.commands.Place(*walk.late_accept->rule), "stops: " + rules.Place(stop),
                      rules.Counted(stop)};
  TellOwner(rules, stop, walk.packet, finding);
  finding.cause = "the first rule that takes a packet decides; " + Symptom(rules, stop, walk.packet);
  // Moving the rule would admit all sources that it accepts: a person must decide that.
  rules.commands.LetThrough(stop, walk.packet, finding);
  finding.decide = fmt::format(
      "whether all are to pass whom rule {} of chain {} accepts: then it belongs before rule {} of chain {}",
      late.position + 1, late.chain, stops.position + 1, stops.chain);
  return finding;
}

}  // namespace conntally::diagnose
