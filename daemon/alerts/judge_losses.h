// What the kernel lost: ConntrackTableFull, ConntrackInsertFailed. Goes by the kernel's counters; those that were saved
// go on over a restart within one boot, so what was lost while nobody looked is told.
#pragma once

#include <optional>
#include <string>

#include "daemon/alerts/judge.h"
#include "daemon/alerts/rate_windows.h"

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
  RisenLately full_messages_{AlertRules::kLossWindow};
  std::optional<Counters> last_;
  double away_seconds_ = 0;  // how long nobody had looked when the daemon started
  SteadyTime away_until_{};
};

}  // namespace conntally
