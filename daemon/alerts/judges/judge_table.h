// Judges the table's fill: ConntrackTableNearlyFull, ConntrackTableFillPredicted. Remembers the sources' connections of
// a minute ago, to name the sources that drive the growth.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {

class TableJudge {
 public:
  void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

 private:
  static constexpr std::chrono::seconds kGrowthWindow{60};
  static constexpr std::chrono::seconds kGrowthStep{5};
  struct Remembered {
    SteadyTime when;
    std::map<std::string, std::int64_t> connections;
  };

  void Remember(const AlertEvidence& evidence);
  std::string Drivers(const AlertEvidence& evidence) const;

  std::deque<Remembered> remembered_;
};

}  // namespace conntally
