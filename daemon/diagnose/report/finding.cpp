#include "daemon/diagnose/report/finding.h"

#include <algorithm>

namespace conntally::diagnose {

bool Report::Has(FindingId id) const {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding& each) { return each.id == id; });
}

}  // namespace conntally::diagnose
