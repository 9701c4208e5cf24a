#include "daemon/diagnose/report/finding.h"

#include <algorithm>

namespace conntally::diagnose {

bool Report::Has(FindingId id) const {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding& each) { return each.id == id; });
}

void Fix::Append(const Fix& more) {
  const auto join = [](std::string& text, const char* by, const std::string& other) {
    if (text == other) return;
    if (!text.empty() && !other.empty()) text += by;
    text += other;
  };
  join(command, " && ", more.command);
  join(undo, " && ", more.undo);
  join(risk, "; ", more.risk);
  join(persist, "; ", more.persist);
  edits.insert(edits.end(), more.edits.begin(), more.edits.end());
}

}  // namespace conntally::diagnose
