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

// Whether this host asked in vain for the link address of a neighbour that the traffic passes.
bool NextHopFailed(const RuleCase& rules) {
  const HostFacts& host = rules.inputs.host;
  const auto failed = [&](const std::optional<Result<Route>>& route, const std::optional<IpAddress>& end) {
    if (!route || !*route || !end || (*route)->kind != Route::Kind::kForward) return false;
    const Neighbour* neighbour = host.NeighbourOf((*route)->gateway.value_or(*end));
    return neighbour != nullptr && neighbour->failed && neighbour->link == (*route)->link;
  };
  return failed(host.routes.to_source, rules.inputs.question.source) ||
         failed(host.routes.to_destination, rules.inputs.question.destination);
}

// How likely a decision that is not known to be about this traffic's ARP stops it. A rule that stopped something while
// a neighbour was asked for in vain is likelier than that the neighbour is down.
double SuspicionOfArp(const RuleCase& rules, const Decision& stop) {
  const WatchedPackets* watched = rules.inputs.watched;
  const bool arrives = watched != nullptr && std::any_of(watched->flows.begin(), watched->flows.end(),
                                                         [](const WatchedFlow& flow) { return flow.in_link != 0; });
  const bool failed = NextHopFailed(rules);
  const bool grows = (stop.rule ? rules.Growth(*stop.rule) : rules.PolicyGrowth(stop.base)) > 0;
  if (!failed) return watched != nullptr && grows && !arrives ? 0.5 : 0;
  const auto packets = stop.rule ? rules.Packets(*stop.rule) : rules.PolicyPackets(stop.base);
  if (!packets) return 0.5;
  return grows ? 0.75 : *packets > 0 ? 0.65 : 0;
}

void TellArp(const RuleCase& rules, const Decision& stop, double certainty, Report& report) {
  Finding finding = StoppedBy(rules, stop, Packet{}, certainty);
  finding.cause =
      "neighbours that do not learn this host's link address, or whose address this host does not learn, can send "
      "nothing to it: whatever rules of IP say, nothing arrives";
  finding.fix.clear();
  finding.decide = "which neighbours' ARP passes " + rules.Place(stop);
  report.findings.push_back(std::move(finding));
}

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
  const AskedRoutes& routes = rules.inputs.host.routes;
  const auto& asked = question.source ? question.source : question.destination;
  const bool of_ipv6 = asked && asked->family == Family::kIpv6;
  const bool to_itself = routes.source_is_local && routes.destination_is_local;
  if (!rules.narrowed() || of_ipv6 || to_itself) return;
  std::optional<Decision> suspect;
  double suspicion = 0;
  for (const ChainRef ref : rules.walker.not_walked()) {
    const RuleChain& chain = rules.walker.chain(ref);
    if (chain.family != RuleFamily::kArp || chain.hook == "forward") continue;
    const Walk walk = rules.walker.In(ref, Packet{}, Limits::kNotKnown);
    const Decision* stop = walk.stop();
    if (stop == nullptr) {
      for (const Decision& each : walk.stops) {
        const double certainty = SuspicionOfArp(rules, each);
        if (certainty > suspicion) suspect = each, suspicion = certainty;
      }
      continue;
    }
    const bool grows = (stop->rule ? rules.Growth(*stop->rule) : rules.PolicyGrowth(stop->base)) > 0;
    TellArp(rules, *stop, grows ? 0.9 : 0.7, report);
    report.findings.back().title =
        fmt::format("No ARP may {}: chain {} of table {} stops it", HookOf(chain), chain.name, chain.table);
    return;
  }
  if (!suspect) return;
  TellArp(rules, *suspect, suspicion, report);
  Finding& told = report.findings.back();
  const RuleChain& base = rules.walker.chain(suspect->base);
  told.title = fmt::format("ARP is stopped by {} of chain {}, perhaps that of this traffic",
                           suspect->rule ? fmt::format("rule {}", rules.walker.rule(*suspect->rule).position + 1)
                                         : std::string("the policy"),
                           suspect->rule ? rules.walker.rule(*suspect->rule).chain : base.name);
  told.evidence.push_back("not known: whose ARP it stops; conditions on ARP are not evaluated");
  if (NextHopFailed(rules)) told.evidence.push_back("this host asked for the next hop's link address in vain");
}

}  // namespace conntally::diagnose
