#include "daemon/diagnose/rules/stopped_traffic.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

#include "daemon/diagnose/facts/refusal.h"
#include "daemon/diagnose/rules/rule_findings.h"

namespace conntally::diagnose {
namespace {

std::string WayThrough(const RuleCase& rules, const Walk& walk) {
  std::string way;
  for (const ChainRef ref : walk.path) {
    const RuleChain& chain = rules.walker.chain(ref);
    way += fmt::format("{}{} {} {}", way.empty() ? "" : ", ", NameOf(chain.family), chain.table, chain.name);
  }
  return way;
}

// Where one rule set lets a packet pass, another may still stop it, and the other way round.
std::string Cause(const RuleCase& rules, const Decision& stop, const Packet& packet) {
  const RuleChain& base = rules.walker.chain(stop.base);
  std::string cause =
      fmt::format("of all rules of the {} hook, in the order in which the kernel asks them, this {} decides: {}",
                  base.hook, stop.rule ? "rule" : "policy", Symptom(rules, stop, packet));
  if (stop.certainty != Match::kYes)
    cause += "; rules before it that could not be told for certain may let some of it pass";
  return cause;
}

// What is stopped for all that is known; else what is stopped unless a rule before it happens to accept this very
// source.
const Decision* Deciding(const Walk& walk) {
  if (const Decision* stop = walk.stop()) return stop;
  if (walk.stops.empty() || !walk.stops.back().takes_all_that_comes()) return nullptr;
  return &walk.stops.back();
}

// A rule that is about this very source, when nothing else of the traffic was said: it may ask for a port besides.
const Decision* NamingTheSource(const RuleCase& rules, const Walk& walk, const Packet& packet) {
  if (!packet.source) return nullptr;
  const ConditionMatcher matcher(rules.inputs.after);
  for (const Decision& stop : walk.stops) {
    if (!stop.rule) continue;
    std::vector<RuleRef> refs = stop.jumps;
    refs.push_back(*stop.rule);
    for (const RuleRef ref : refs) {
      const Rule& rule = rules.walker.rule(ref);
      for (const RuleCondition& condition : rule.conditions) {
        if (condition.kind == RuleCondition::Kind::kSource && !condition.negated &&
            matcher.Condition(rule, condition, packet).match == Match::kYes)
          return &stop;
      }
    }
  }
  return nullptr;
}

bool AsksForTheSource(const RuleCondition& condition) {
  const auto part_does = [](const std::vector<RuleCondition>& parts) {
    return std::any_of(parts.begin(), parts.end(), AsksForTheSource);
  };
  return condition.kind == RuleCondition::Kind::kSource ||
         std::any_of(condition.alternatives.begin(), condition.alternatives.end(), part_does);
}

// Whether the decision is about who asks: a ban, or a list of those who may.
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

void AddPlainStop(const RuleCase& rules, const Walk& walk, const Decision& stop, const AskedPacket& asked,
                  double certainty, Report& report) {
  for (const Finding& each : report.findings) {
    if (each.id == IdOf(stop) && each.rule == stop.rule && (stop.rule || each.policy == stop.base)) return;
  }
  Finding finding = StoppedBy(rules, stop, walk.packet, certainty);
  finding.title += ": " + Traffic(asked.packet);
  finding.cures = {{asked}};
  if (walk.path.size() > 1) finding.evidence.push_back("passed before: " + WayThrough(rules, walk));
  report.findings.push_back(std::move(finding));
}

// What may be told of one packet that was asked about.
void TellOne(const RuleCase& rules, const AskedPacket& asked, const Walk& walk, bool only_one, bool another_passes,
             Report& report) {
  const Question& question = rules.inputs.question;
  // Who asks for a port alone asks about all families and links; that a policy closes it for some of them is a
  // firewall's work.
  if (another_passes && !walk.stops.empty() && !walk.stops.back().rule) return;
  const bool forwarding_is_off = walk.forwarded && !rules.Forwards(asked.packet.family);
  double scale = (forwarding_is_off ? 0.6 : 1) * (another_passes ? 0.6 : 1);
  if (!only_one && !question.source && !asked.leaves)
    scale *= question.destination ? 0.7 : 0.95;  // nobody said where it comes from
  if (const Decision* stop = Deciding(walk)) {
    const bool whole = walk.passes == Match::kNo;
    const bool grows = (stop->rule ? rules.Growth(*stop->rule) : rules.PolicyGrowth(stop->base)) > 0;
    if (!whole && !grows && MostLikelyPasses(rules, walk)) return;
    // A policy that drops what nobody said much about is how a firewall should be.
    const bool says_little = !question.destination_port && !question.protocol;
    if (says_little && !whole) {
      if (const Decision* named = NamingTheSource(rules, walk, asked.packet))
        AddStopped(rules, walk, *named, asked, 0.75, report);
      return;
    }
    AddStopped(rules, walk, *stop, asked, (whole ? 0.98 : question.source ? 0.6 : 0.5) * scale, report);
    return;
  }
  if (const Decision* named = NamingTheSource(rules, walk, asked.packet)) {
    const bool grows = named->rule && rules.Growth(*named->rule) > 0;
    AddStopped(rules, walk, *named, asked, (grows ? 0.9 : 0.75) * scale, report);
    return;
  }
  // Perhaps stopped, by rules that were not understood: they are suspects when they stop something right now.
  for (const Decision& stop : walk.stops) {
    const std::uint64_t growth = stop.rule ? rules.Growth(*stop.rule) : 0;
    if (growth > 0)
      AddStopped(rules, walk, stop, asked, std::max(CertaintyOfGrowth(rules, growth), 0.5) * scale, report);
  }
}

std::optional<MarkedRoute> MarkedRouteOf(const RuleCase& rules, const Walk& walk) {
  const Packet& packet = walk.packet;
  if (!walk.forwarded || packet.mark.value_or(0) == 0 || !packet.destination || !packet.source || !packet.in) return {};
  const RouteQuestion question{*packet.destination, packet.source, packet.in->index, *packet.mark};
  auto route = rules.inputs.find_route(question);
  if (!route) return {};
  // A packet that arrives is refused with the same error as a source that no packet can have.
  if (route->kind == Route::Kind::kFiltered && FindRefusal(rules.inputs.host, question))
    route->kind = Route::Kind::kUnreachable;
  return MarkedRoute{question, *route};
}

}  // namespace

void AddStopped(const RuleCase& rules, const Walk& walk, const Decision& stop, const AskedPacket& asked,
                double certainty, Report& report) {
  const bool late = stop.rule && walk.late_accept && walk.late_accept->rule && walk.late_accept->base == stop.base;
  // Who is banned by address is stopped on purpose, before what is open to everybody: to let that come first would lift
  // all bans.
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
    finding.title += ": nobody listens at its queue";
    finding.evidence.push_back(
        "/proc/net/netfilter/nfnetlink_queue lists no program at that queue, and the rule does not bypass it");
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
  // To move the rule would let in all whom it accepts: that is for a person to want.
  rules.commands.LetThrough(stop, walk.packet, finding);
  finding.decide = fmt::format(
      "whether all are to pass whom rule {} of chain {} accepts: then it belongs before rule {} of chain {}",
      late.position + 1, late.chain, stops.position + 1, stops.chain);
  return finding;
}

RuleOutcome CheckAskedTraffic(const RuleCase& rules, Report& report) {
  RuleOutcome outcome;
  const std::vector<AskedPacket> asked = rules.Asked();
  std::vector<Walk> walks;
  for (const AskedPacket& one : asked) walks.push_back(rules.Through(one));
  const bool says_who = rules.inputs.question.source || rules.inputs.question.destination;
  const bool one_passes =
      !says_who && std::any_of(walks.begin(), walks.end(), [](const Walk& walk) { return walk.passes == Match::kYes; });
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const AskedPacket& one = asked[i];
    const Walk& walk = walks[i];
    outcome.passes = Both(outcome.passes, walk.passes);
    if (walk.destination_nat || walk.destination_nat_open) {
      outcome.destination_translated = true;
      outcome.sent_elsewhere = outcome.sent_elsewhere || walk.forwarded;
      const std::optional<NumberRange>& port = walk.packet.destination_port;
      const bool to_here =
          walk.destination_nat && walk.packet.destination_is_local == true && port && port->first == port->last;
      if (to_here && walk.passes == Match::kYes) {
        outcome.redirected_to = static_cast<std::uint16_t>(port->first);
        outcome.redirected_address = walk.packet.destination;
      }
    }
    if (walk.passes == Match::kYes) outcome.marked_route = MarkedRouteOf(rules, walk);
    TellOne(rules, one, walk, asked.size() == 1, one_passes && walk.passes != Match::kYes, report);
    const std::string by = one.packet.in && !one.packet.in->name.empty() ? " by " + one.packet.in->name : "";
    report.checked.push_back(fmt::format("the rules, in order, for {}{}: {} ({})", Traffic(one.packet), by,
                                         walk.passes == Match::kYes ? "they let it pass"
                                         : walk.passes == Match::kNo
                                             ? "they stop it"
                                             : "they stop some of it, or what they ask is not known",
                                         walk.path.empty() ? "there are none" : WayThrough(rules, walk)));
    if (walk.passes != Match::kMaybe) continue;
    for (const Unevaluated& open : walk.unevaluated) {
      const std::uint64_t packets = rules.Packets(open.rule).value_or(0);
      report.not_checked.push_back({rules.commands.Place(open.rule),
                                    open.why + (packets > 0 ? fmt::format("; it took {} packets", packets) : "")});
    }
    if (walk.cut_short) report.not_checked.push_back({"all rules", "there are too many ways through them"});
  }
  return outcome;
}

}  // namespace conntally::diagnose
