// A packet need not arrive by the link by which its source is reached. Rules that ask for that (rpfilter, fib) stop it
// then: who asks about a source is told of such a rule that has stopped something.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/rules/stopped/stop_findings.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

bool AsksForTheWayBack(const Rule& rule) {
  return std::any_of(rule.conditions.begin(), rule.conditions.end(),
                     [](const RuleCondition& each) { return each.kind == RuleCondition::Kind::kReversePath; });
}

// The direction of an ARP chain.
const char* HookOf(const RuleChain& chain) { return chain.hook == "output" ? "leave" : "come in"; }

}  // namespace

void CheckOtherWaysIn(const RuleCase& rules, Report& report) {
  const Question& question = rules.inputs.question;
  if (!question.source || rules.inputs.host.routes.source_is_local) return;
  const Link* back = rules.inputs.host.LinkOf(rules.inputs.host.routes.in_link);
  for (const AskedPacket& asked : rules.Asked()) {
    if (asked.leaves || asked.bridged || rules.Through(asked).passes == Match::kNo) continue;
    for (const Link* link : rules.OuterLinks()) {
      if (link == back) continue;
      AskedPacket other = asked;
      other.packet.in = InterfaceOf(*link);
      other.packet.reverse_path = false;
      const Walk walk = rules.Through(other);
      const Decision* stop = walk.stop();
      if (stop == nullptr || !stop->rule || !AsksForTheWayBack(rules.walker.rule(*stop->rule))) continue;
      const bool grows = rules.Growth(*stop->rule) > 0;
      if (rules.Packets(*stop->rule).value_or(0) == 0) continue;
      const bool told = std::any_of(report.findings.begin(), report.findings.end(),
                                    [&](const Finding& each) { return each.rule == stop->rule; });
      if (told) return;
      Finding finding = StoppedBy(rules, *stop, walk.packet, grows ? 0.75 : 0.6);
      finding.title += fmt::format(": what comes from {} by another link than {}", question.source->ToString(),
                                   back != nullptr ? back->name : "the way back");
      finding.evidence.push_back(
          fmt::format("not known: by which link {} arrives (--observe shows it); the way back is {}",
                      question.source->ToString(), back != nullptr ? back->name : "none"));
      finding.cause = "the rule drops what arrives by a link that does not lead back to its source; " + finding.cause;
      finding.fix.clear();
      finding.decide =
          "by which link the source's packets are to come and its answers to leave: a route back by that link "
          "cures it, or an accept before the rule for who may come another way";
      report.findings.push_back(std::move(finding));
      return;
    }
  }
}

void CheckArp(const RuleCase& rules, Report& report) {
  const Question& question = rules.inputs.question;
  const bool of_ipv6 = question.source && question.source->family == Family::kIpv6;
  if (!rules.narrowed() || of_ipv6 || rules.inputs.host.routes.source_is_local) return;
  for (const ChainRef ref : rules.walker.not_walked()) {
    const RuleChain& chain = rules.walker.chain(ref);
    if (chain.family != RuleFamily::kArp || chain.hook == "forward") continue;
    const Walk walk = rules.walker.In(ref, Packet{}, Limits::kNotKnown);
    const Decision* stop = walk.stop();
    if (stop == nullptr) continue;
    const bool grows = (stop->rule ? rules.Growth(*stop->rule) : rules.PolicyGrowth(stop->base)) > 0;
    Finding finding = StoppedBy(rules, *stop, Packet{}, grows ? 0.9 : 0.7);
    finding.title = fmt::format("No ARP may {}: chain {} of table {} stops it", HookOf(chain), chain.name, chain.table);
    finding.cause =
        "neighbours that do not learn this host's link address, or whose address this host does not learn, can send "
        "nothing to it: whatever rules of IP say, nothing arrives";
    finding.fix.clear();
    finding.decide = "which neighbours' ARP passes " + rules.Place(*stop);
    report.findings.push_back(std::move(finding));
    return;
  }
}

}  // namespace conntally::diagnose
