// From evidence to readings: what each look says about each subject, in the units of its alert's thresholds. One judge
// for each family of alerts: what it tells, from when on, and in which words, stands in its files (judge_*.h, .cpp).
//
// What the judges remember of the past can be saved and restored: Save gives an object, Restore takes one back, with
// "continues" (the kernel's counters may be compared: same boot, same network namespace) and "age_seconds" beside what
// Save gave. Whatever is not as Save writes it is left out, and Restore returns why; empty: all was taken.
//
// Pure but for that memory, which is bounded. Threads: one owner.
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

  // Of what is remembered, about.
  std::size_t memory_bytes() const;
  std::uint64_t turned_away() const;

 private:
  // Until what eBPF counted has its rule.
  static constexpr std::chrono::seconds kDropsReadAfter{12};
  // Until all attempts that are counted began while it ran (AnswerSurvey::kAttemptAge, and a survey).
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
