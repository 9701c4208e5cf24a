#include <algorithm>

#include "daemon/diagnose/order.h"

namespace conntally::diagnose {

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
