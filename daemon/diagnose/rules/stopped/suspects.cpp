// Rules that stop something while the traffic in question fails, and that may match it.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <set>

#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/stopped/stop_findings.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kSuspectsMax = 3;

// Any packet of the traffic in question: a later one, an INVALID one, a marked one ... ...
Packet AnyOf(const Packet& asked) {
  Packet any = asked;
  any.state = kStateInvalid | kStateEstablished | kStateRelated | kStateNew | kStateUntracked;
  any.source_port.reset();
  any.tcp_flags.reset();
  any.status.reset();
  any.mark.reset();
  any.out.reset();
  any.reverse_path.reset();
  return any;
}

std::uint64_t Failed(const WatchedPackets& watched) {
  std::uint64_t failed = 0;
  for (const WatchedFlow& flow : watched.flows) {
    if (!watched.IsAccepted(flow)) failed += flow.requests;
  }
  for (const StalledStream& stalled : watched.stalled) failed += stalled.times;
  return failed;
}

void Suspect(const RuleCase& rules, const Decision& stop, const Packet& packet, std::uint64_t growth, Report& report) {
  const Rule& rule = rules.walker.rule(*stop.rule);
  Finding finding;
  finding.id = IdOf(stop);
  finding.rule = stop.rule;
  finding.stops_meanwhile = true;
  const bool as_likely = IsUnderstood(stop.by_itself.why) || stop.takes_all_that_comes();
  finding.certainty = std::max(CertaintyOfGrowth(rules, growth), as_likely ? 0.5 : 0.4);
  finding.title = fmt::format("Rule {} of chain {} stopped {} packets meanwhile, perhaps of this traffic",
                              rule.position + 1, rule.chain, Grouped(growth));
  finding.evidence = {rules.Place(stop), rules.Counted(stop)};
  if (!stop.takes_all_that_comes())
    finding.evidence.push_back("not known: " + WordsOf(stop.by_itself, rule.not_understood));
  finding.cause = "nothing says that these packets are not " + Traffic(packet) + ": " + Symptom(rules, stop, packet);
  finding.decide = "whether it is this traffic that the rule stops: watch its counter while you try once more";
  report.findings.push_back(std::move(finding));
}

}  // namespace

bool MayFailHere(const RuleCase& rules) {
  const WatchedPackets* watched = rules.inputs.watched;
  if (watched == nullptr) return false;
  bool any_passed = false, any_failed = !watched->stalled.empty();
  for (const WatchedFlow& flow : watched->flows) {
    const bool unanswered = watched->IsUnanswered(flow);
    const bool lost_beyond = unanswered && flow.out_link != 0 && flow.in_link != 0 && !flow.answer_arrived;
    any_passed = any_passed || watched->IsAccepted(flow) || lost_beyond;
    any_failed = any_failed || (unanswered && !lost_beyond) || watched->IsAnswerLost(flow) ||
                 flow.answer == WatchedFlow::Answer::kReset || flow.answer == WatchedFlow::Answer::kUnreachable;
  }
  return any_failed || !any_passed;
}

double CertaintyOfGrowth(const RuleCase& rules, std::uint64_t growth) {
  if (rules.inputs.watched == nullptr) return 0.5;
  const std::uint64_t failed = Failed(*rules.inputs.watched);
  // About as many as failed attempts: more than chance.
  return failed > 0 && growth <= 2 * failed && failed <= 2 * growth ? 0.65 : 0.4;
}

void CheckSuspects(const RuleCase& rules, Report& report) {
  if (!rules.narrowed() || !MayFailHere(rules)) return;
  const bool explained = std::any_of(report.findings.begin(), report.findings.end(),
                                     [](const Finding& each) { return each.certainty >= 0.5; });
  if (explained) return;
  std::vector<AskedPacket> asked = rules.SeenToFail();
  if (asked.empty()) asked = rules.Asked();
  std::set<RuleRef> told;
  for (const AskedPacket& one : asked) {
    const Packet any = AnyOf(one.packet);
    for (const ChainRef base : rules.Through(one).path) {
      for (const Decision& stop : rules.walker.In(base, any, Limits::kNotKnown).stops) {
        const std::uint64_t growth = stop.rule ? rules.Growth(*stop.rule) : 0;
        if (growth == 0 || told.size() >= kSuspectsMax || !told.insert(*stop.rule).second) continue;
        Suspect(rules, stop, one.packet, growth, report);
      }
    }
  }
}

}  // namespace conntally::diagnose
