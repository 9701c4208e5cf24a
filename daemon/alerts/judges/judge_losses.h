// What the kernel lost: ConntrackTableFull, ConntrackInsertFailed. Where the ports of a translated address run out, the
// kernel counts failed insertions, too: a rise of them is no clash when the look at the ports before it or the one
// after it finds some exhausted (NatPortsNearlyExhausted tells of it). Goes by the kernel's counters; those that were
// saved go on over a restart within one boot, so what was lost while nobody looked is told.
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
  // A rise of insert_failed that nobody knows the reason of yet.
  struct Unexplained {
    SteadyTime when;
    std::uint64_t by;
  };
  // Or it is a clash: of a large table looks are far apart, and before the first one there may never be any.
  static constexpr std::chrono::seconds kExplainedWithin{30}, kFirstLookWithin{10};

  void Explain(const AlertEvidence& evidence, std::uint64_t insert_failed);

  std::deque<Unexplained> unexplained_;  // at most one a reading, for kExplainedWithin at most
  std::uint64_t clashed_ = 0;
  std::optional<Counters> last_;
  double away_seconds_ = 0;  // how long nobody had looked when the daemon started
  SteadyTime away_until_{};
};

}  // namespace conntally
