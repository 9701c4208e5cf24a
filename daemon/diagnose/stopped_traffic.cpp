#include "daemon/diagnose/stopped_traffic.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <utility>

#include "daemon/diagnose/rule_findings.h"

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

void AddOwner(const RuleCase& rules, const Decision& stop, Finding& finding) {
  const RuleChain& base = rules.walker.chain(stop.base);
  const std::string owner = OwnerOf(rules.inputs.after, base.backend, base.family, base.table,
                                    stop.rule ? rules.walker.rule(*stop.rule).chain : base.name);
  if (!owner.empty()) finding.evidence.push_back(owner + " writes these rules: change them with it, or it undoes the change");
}

// Where one rule set lets a packet pass, another may still stop it, and the other way round.
std::string Cause(const RuleCase& rules, const Decision& stop, const Packet& packet) {
  const RuleChain& base = rules.walker.chain(stop.base);
  std::string cause = fmt::format("of all rules of the {} hook, in the order in which the kernel asks them, this {} decides: {}", base.hook,
                                  stop.rule ? "rule" : "policy", Symptom(rules, stop, packet));
  if (stop.certainty != Match::kYes) cause += "; rules before it that could not be told for certain may let some of it pass";
  return cause;
}

// What is stopped for all that is known; else what is stopped unless a rule before it happens to accept this very source.
const Decision* Deciding(const Walk& walk) {
  if (const Decision* stop = walk.stop()) return stop;
  if (walk.stops.empty() || !walk.stops.back().takes_all_that_comes) return nullptr;
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
        std::string why;
        if (condition.kind == RuleCondition::Kind::kSource && !condition.negated && matcher.Condition(rule, condition, packet, why) == Match::kYes) return &stop;
      }
    }
  }
  return nullptr;
}

void AddForwardedTranslation(const RuleCase& rules, const Walk& walk, const Decision& stop, double certainty, Report& report) {
  if (Has(report, "dnat-not-forwarded")) return;
  Finding finding;
  finding.id = "dnat-not-forwarded";
  finding.certainty = certainty;
  finding.title = fmt::format("A DNAT rule sends this traffic to {}, and the forward chain does not let it through",
                              walk.packet.destination ? walk.packet.destination->ToString() : "another host");
  finding.evidence = {rules.commands.Place(*walk.destination_nat), "stopped by " + rules.Place(stop), rules.Counted(stop)};
  finding.cause = "DNAT changes the destination before the forward hook: that hook sees the new address and port (" + Traffic(walk.packet) +
                  "), and needs a rule that accepts them; " + Symptom(rules, stop, walk.packet);
  finding.fix = rules.commands.LetThrough(stop, walk.packet);
  report.findings.push_back(std::move(finding));
}

void AddStopped(const RuleCase& rules, const Walk& walk, const Decision& stop, const Packet& asked, double certainty, Report& report) {
  const bool late = stop.rule && walk.late_accept && walk.late_accept->rule && walk.late_accept->base == stop.base;
  if (walk.forwarded && walk.destination_nat && rules.walker.chain(stop.base).hook == "forward") {
    AddForwardedTranslation(rules, walk, stop, certainty, report);
    certainty -= 0.03;
  }
  if (late && !Has(report, "late-accept")) {
    report.findings.push_back(LateAccept(rules, walk, stop, certainty));
    certainty -= 0.02;
  }
  for (const Finding& each : report.findings) {
    if (each.id == IdOf(stop) && !each.evidence.empty() && each.evidence.front() == rules.Place(stop)) return;
  }
  Finding finding = StoppedBy(rules, stop, walk.packet, certainty);
  finding.title += ": " + Traffic(asked);
  if (walk.path.size() > 1) finding.evidence.push_back("passed before: " + WayThrough(rules, walk));
  report.findings.push_back(std::move(finding));
}

// What may be told of one packet that was asked about.
void TellOne(const RuleCase& rules, const AskedPacket& asked, const Walk& walk, bool only_one, Report& report) {
  const Question& question = rules.inputs.question;
  const bool forwarding_is_off = walk.forwarded && !rules.Forwards(asked.packet.family);
  double scale = forwarding_is_off ? 0.6 : 1;
  if (!only_one && !question.source && !asked.leaves) scale *= question.destination ? 0.7 : 0.95;  // nobody said where it comes from
  if (const Decision* stop = Deciding(walk)) {
    const bool whole = walk.passes == Match::kNo;
    // A policy that drops what nobody said much about is how a firewall should be.
    const bool says_little = !question.destination_port && !question.protocol;
    if (says_little && !whole) {
      if (const Decision* named = NamingTheSource(rules, walk, asked.packet)) AddStopped(rules, walk, *named, asked.packet, 0.75, report);
      return;
    }
    AddStopped(rules, walk, *stop, asked.packet, (whole ? 0.98 : question.source ? 0.6 : 0.5) * scale, report);
    return;
  }
  if (const Decision* named = NamingTheSource(rules, walk, asked.packet)) {
    const bool grows = named->rule && rules.Growth(*named->rule) > 0;
    AddStopped(rules, walk, *named, asked.packet, (grows ? 0.9 : 0.75) * scale, report);
    return;
  }
  // Perhaps stopped, by rules that were not understood: they are suspects when they stop something right now.
  for (const Decision& stop : walk.stops) {
    const std::uint64_t growth = stop.rule ? rules.Growth(*stop.rule) : 0;
    if (growth > 0) AddStopped(rules, walk, stop, asked.packet, 0.5 * scale, report);
  }
}

}  // namespace

const char* IdOf(const Decision& stop) {
  if (!stop.rule) return "drop-policy";
  return stop.verdict == Verdict::kReject ? "reject-rule" : "drop-rule";
}

std::string Symptom(const RuleCase& rules, const Decision& stop, const Packet& packet) {
  const bool tcp = !packet.protocol || *packet.protocol == IPPROTO_TCP;
  if (stop.verdict != Verdict::kReject) return tcp ? "it drops silently, so a client waits until it times out" : "it drops silently, so a client hears nothing";
  const bool reset = stop.rule && rules.walker.rule(*stop.rule).tcp_reset;
  return reset ? "it answers with a RST, so a client is told at once \"Connection refused\""
               : "it answers with an ICMP error, so a client is told at once (\"Connection refused\", \"No route to host\" ...)";
}

Finding StoppedBy(const RuleCase& rules, const Decision& stop, const Packet& packet, double certainty) {
  Finding finding;
  finding.id = IdOf(stop);
  finding.certainty = certainty;
  const RuleChain& base = rules.walker.chain(stop.base);
  if (stop.rule) {
    const Rule& rule = rules.walker.rule(*stop.rule);
    finding.title = fmt::format("Rule {} of chain {} {} it", rule.position + 1, rule.chain, stop.verdict == Verdict::kReject ? "rejects" : "drops");
  } else {
    finding.title = fmt::format("No rule of chain {} accepts it, and the chain's policy drops it", base.name);
  }
  finding.evidence = {rules.Place(stop), rules.Counted(stop)};
  AddOwner(rules, stop, finding);
  finding.cause = Cause(rules, stop, packet);
  finding.fix = rules.commands.LetThrough(stop, packet);
  return finding;
}

Finding LateAccept(const RuleCase& rules, const Walk& walk, const Decision& stop, double certainty) {
  const Rule& late = rules.walker.rule(*walk.late_accept->rule);
  const Rule& stops = rules.walker.rule(*stop.rule);
  Finding finding;
  finding.id = "late-accept";
  finding.certainty = certainty;
  finding.title = fmt::format("Rule {} of chain {} would accept it, but comes after rule {} of chain {}, which {} it", late.position + 1, late.chain,
                              stops.position + 1, stops.chain, stop.verdict == Verdict::kReject ? "rejects" : "drops");
  finding.evidence = {"accepts: " + rules.commands.Place(*walk.late_accept->rule), "stops: " + rules.Place(stop), rules.Counted(stop)};
  AddOwner(rules, stop, finding);
  finding.cause = "the first rule that takes a packet decides; " + Symptom(rules, stop, walk.packet);
  finding.fix = {rules.commands.MoveBefore(*walk.late_accept->rule, stop)};
  return finding;
}

RuleOutcome CheckAskedTraffic(const RuleCase& rules, Report& report) {
  RuleOutcome outcome;
  const std::vector<AskedPacket> asked = rules.Asked();
  for (const AskedPacket& one : asked) {
    const Walk walk = rules.Through(one);
    outcome.destination_translated = outcome.destination_translated || walk.destination_nat;
    TellOne(rules, one, walk, asked.size() == 1, report);
    const std::string by = one.packet.in && !one.packet.in->name.empty() ? " by " + one.packet.in->name : "";
    report.checked.push_back(fmt::format("the rules, in order, for {}{}: {} ({})", Traffic(one.packet), by,
                                         walk.passes == Match::kYes ? "they let it pass" : walk.passes == Match::kNo ? "they stop it" : "they stop some of it, or what they ask is not known",
                                         walk.path.empty() ? "there are none" : WayThrough(rules, walk)));
    if (walk.passes != Match::kMaybe) continue;
    for (const Unevaluated& open : walk.unevaluated) report.not_checked.push_back({rules.commands.Place(open.rule), open.why});
    if (walk.cut_short) report.not_checked.push_back({"all rules", "there are too many ways through them"});
  }
  return outcome;
}

}  // namespace conntally::diagnose
