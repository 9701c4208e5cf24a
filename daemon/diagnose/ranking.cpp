#include <algorithm>

#include "daemon/diagnose/order.h"

namespace conntally::diagnose {

namespace {

constexpr double kDoubtfulMost = 0.6;

// Whether the fault prevents a connection from being established.
bool Blocks(FindingId id) {
  switch (id) {
    case FindingId::kSourceAtLimit:
    case FindingId::kRejectRule:
    case FindingId::kDropRule:
    case FindingId::kDropPolicy:
    case FindingId::kLateAccept:
    case FindingId::kForwardingOff:
    case FindingId::kNoRoute:
    case FindingId::kNoMasquerade:
    case FindingId::kDnatNotForwarded:
    case FindingId::kRpFilter:
    case FindingId::kNoListener:
    case FindingId::kListenerOtherAddress: return true;
    default: return false;
  }
}

}  // namespace

void LeaveOutWhatIsSeenToWork(const Case& facts, Report& report) {
  const bool asked = facts.question.source || facts.question.destination || facts.question.destination_port;
  if (!asked) return;
  const bool seen = facts.IsSeenToWork();
  if (!seen && !facts.WorkedLately()) return;
  const auto left_out = std::erase_if(report.findings, [&](const Finding& each) {
    const bool leaves = Blocks(each.id) && !each.stops_meanwhile && each.certainty > kHygieneMax &&
                        (seen || each.certainty <= kDoubtfulMost);
    // What is within a limit passes, so that some passed says little.
    if (leaves && !seen && each.id == FindingId::kSourceAtLimit)
      report.not_checked.push_back({each.title, "some was answered within the last minute; --observe 10s tells"});
    return leaves;
  });
  if (left_out > 0)
    report.checked.push_back(seen ? "what was seen on the wire: all of it was answered, whatever rules and routes say"
                                  : "the table: such connections were answered within the last minute");
}

void RankFindings(Report& report) {
  constexpr double kStep = 0.01;  // as certainties are printed
  double present = 0;
  for (const Finding& finding : report.findings) {
    if (finding.when == When::kNow) present = std::max(present, finding.certainty);
  }
  for (Finding& finding : report.findings) {
    if (finding.when == When::kPast && present > kHygieneMax)
      finding.certainty = std::min(finding.certainty, present - kStep);
  }
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const Finding& one, const Finding& other) { return one.certainty > other.certainty; });
}

}  // namespace conntally::diagnose
