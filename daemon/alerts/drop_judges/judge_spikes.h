// Judges jumps in the drop rate: DropRuleSpike, for a rule by its own counter, and for the whole host by all dropped
// packets if no single rule is known to be the cause.
//
// Both leave out packets to broadcast and multicast addresses, and the kMost sources with the highest rates: a banned
// source that keeps sending is not a change of the host (SourceMatchesDropRule reports it). The rest is compared with
// the past. The usual rate is at least kUsual, and at least kUsualOfTraffic of the connections opened here: fifteen
// packets per second after a ban are not a spike; hundreds per second from a thousand sources are, whoever they are.
//
// Pure except for its memory: that of RuleSpikes, and two rates. Threads: one owner.
#pragma once

#include <memory>

#include "daemon/alerts/drop_judges/judge_drops.h"
#include "daemon/alerts/evidence/baseline.h"
#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/evidence/rate_windows.h"
#include "daemon/alerts/evidence/rule_spikes.h"

namespace conntally {

class SpikeJudge {
 public:
  static constexpr double kUsual = 3;  // packets per second
  static constexpr double kUsualOfTraffic = 0.02;
  static constexpr std::size_t kSourcesMin = 20;

  // After `drops` has read the same evidence.
  void Read(const AlertRules& rules, const AlertEvidence& evidence, const DropJudge& drops, Readings& into);

  nlohmann::json Save() const { return {{"dropped", dropped_past_.Save()}}; }
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const { return dropped_past_.bytes() + spikes_.bytes(); }
  std::uint64_t turned_away() const { return spikes_.rules_turned_away(); }

 private:
  void ReadHost(const AlertRule& rule, const AlertEvidence& evidence, const DropJudge& drops, double usual,
                double told_rate, Readings& into);

  RuleSpikes spikes_;
  std::shared_ptr<const RuleFigures> last_rules_;
  BatchedRate opened_;
  BatchedRate dropped_;          // without those to many
  BatchedRate dropped_to_many_;  // to broadcast and multicast addresses
  Baseline dropped_past_;
};

}  // namespace conntally
