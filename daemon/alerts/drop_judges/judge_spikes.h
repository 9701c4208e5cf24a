// Drops that jump: DropRuleSpike, of a rule by its own counter, and of the whole host by all packets that are dropped,
// where no one rule is known to be it.
//
// Both leave out the kMost sources with the highest rates: one that is banned and goes on is no change of the host's
// (SourceMatchesDropRule tells it). What is left is held against the past, where at least kUsual, or kUsualOfTraffic of
// the connections that are opened here, are taken to be usual: fifteen packets a second after a ban are no spike, and
// hundreds a second from a thousand sources are one, whoever they are.
//
// Pure but for its memory: RuleSpikes' and two rates. Threads: one owner.
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
  static constexpr double kUsual = 3;  // packets a second
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
  BatchedRate dropped_;
  Baseline dropped_past_;
};

}  // namespace conntally
