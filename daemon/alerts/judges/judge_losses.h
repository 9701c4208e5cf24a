// Judges the kernel's losses: ConntrackTableFull, ConntrackInsertFailed. If a translated address runs out of ports, the
// kernel counts failed insertions too. So a rise is not a clash if the survey of ports before or after it finds
// exhausted ports (NatPortsNearlyExhausted reports those). It uses the kernel's counters; saved counters continue over
// a restart within one boot, so losses while the daemon was down are reported.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {

class LossJudge {
 public:
  void Read(const AlertEvidence& evidence, Readings& into);

  nlohmann::json Save() const;
  std::string Restore(const nlohmann::json& saved, double age_seconds);

 private:
  struct Counters {
    std::uint64_t drops = 0;
    std::uint64_t early_drops = 0;
    std::uint64_t insert_failed = 0;
  };
  RisenLately drops_{AlertRules::kLossWindow};
  RisenLately early_drops_{AlertRules::kLossWindow};
  RisenLately insert_failed_{AlertRules::kLossWindow};
  RisenLately clashes_{AlertRules::kLossWindow};
  RisenLately full_messages_{AlertRules::kLossWindow};
  // A rise of insert_failed whose cause is not known yet.
  struct Unexplained {
    SteadyTime when;
    std::uint64_t by;
  };
  // After this time it is a clash. Surveys of a large table are far apart, and the first one may never come.
  static constexpr std::chrono::seconds kExplainedWithin{30}, kFirstLookWithin{10};

  void Explain(const AlertEvidence& evidence, std::uint64_t insert_failed);

  std::deque<Unexplained> unexplained_;  // at most one per reading, for at most kExplainedWithin
  std::uint64_t clashed_ = 0;
  std::optional<Counters> last_;
  double away_seconds_ = 0;  // time without observation before the daemon started
  SteadyTime away_until_{};
};

}  // namespace conntally
