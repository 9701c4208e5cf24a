// Judges whether the figures can be trusted: ConntallyDegraded.
#pragma once

#include <map>
#include <string>

#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {

class TrustJudge {
 public:
  void Read(const AlertEvidence& evidence, Readings& into);

 private:
  RisenLately events_lost_{AlertRules::kLossWindow};
  std::map<std::string, SteadyTime> wrong_since_;  // by what is wrong with our data
};

}  // namespace conntally
