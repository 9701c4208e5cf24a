// Turns evidence into readings: a value for each subject, in the units of its alert's thresholds. Each family of alerts
// has a judge; its files (judge_*.h, .cpp) say what it reports, from when on, and in which words.
//
// The judges' memory can be saved and restored. Restore takes what Save returned, plus "continues" (the kernel's
// counters may be compared: same boot, same network namespace) and "age_seconds". Restore ignores what Save does not
// write, and returns the reason; empty: it took everything.
//
// Pure except for that memory, which is bounded. Threads: one owner.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/alerts/drop_judges/judge_drops.h"
#include "daemon/alerts/drop_judges/judge_spikes.h"
#include "daemon/alerts/evidence/evidence.h"
#include "daemon/alerts/judges/judge_answers.h"
#include "daemon/alerts/judges/judge_losses.h"
#include "daemon/alerts/judges/judge_nat.h"
#include "daemon/alerts/judges/judge_scans.h"
#include "daemon/alerts/judges/judge_sources.h"
#include "daemon/alerts/judges/judge_table.h"
#include "daemon/alerts/judges/judge_trust.h"
#include "daemon/alerts/kinds/alert_reading.h"
#include "daemon/alerts/kinds/alert_rules.h"

namespace conntally {

class AlertReader {
 public:
  AlertReadings Read(const AlertRules& rules, const AlertEvidence& evidence);

  nlohmann::json Save() const;
  std::string Restore(const nlohmann::json& saved);

  // Approximate size of the judges' memory.
  std::size_t memory_bytes() const;
  std::uint64_t turned_away() const;

 private:
  // Until the rules of the packets that eBPF counted are known.
  static constexpr std::chrono::seconds kDropsReadAfter{12};
  // Until all counted attempts began after the daemon's start (AnswerSurvey::kAttemptAge, and a survey).
  static constexpr std::chrono::seconds kAttemptsSeenAfter{25};

  TableJudge table_;
  LossJudge losses_;
  SourceJudge sources_;
  DropJudge drops_;
  SpikeJudge spikes_;
  AnswersJudge answers_;
  TrustJudge trust_;
  SteadyTime first_look_{};
};

}  // namespace conntally
