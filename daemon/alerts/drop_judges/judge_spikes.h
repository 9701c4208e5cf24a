// Judges jumps in the drop rate: DropRuleSpike, for a rule by its own counter, and for the whole host by all dropped
// packets if no single rule is known to be the cause.
//
// Both leave out packets to broadcast and multicast addresses, and the kMost sources with the highest rates: a banned
// source that keeps sending is not a change of the host (SourceMatchesDropRule reports it). The rest is compared with
// the past. The usual rate is at least kUsual, and at least kUsualOfTraffic of the connections opened here: fifteen
// packets per second after a ban are not a spike; hundreds per second from a thousand strangers are.
// Nor is it a spike if more sources are active and each loses as much as before: the usual rate grows with the sources
// that tried to connect recently and have completed a TCP handshake, which cannot be forged, up to kGrowthMost.
//
// Pure except for its memory: that of RuleSpikes, and some rates. Threads: one owner.
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
  static constexpr double kGrowthMost = 20;

  // After `drops` has read the same evidence.
  void Read(const AlertRules& rules, const AlertEvidence& evidence, const DropJudge& drops, Readings& into);

  nlohmann::json Save() const { return {{"dropped", dropped_past_.Save()}, {"active", active_past_.Save()}}; }
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const { return dropped_past_.bytes() + active_past_.bytes() + spikes_.bytes(); }
  std::uint64_t turned_away() const { return spikes_.rules_turned_away(); }

 private:
  struct Usual {
    double least = 0;      // rate
    double growth = 1;     // of the sources that are active
    double told_rate = 0;  // of the rules that are reported
  };
  double FollowGrowth(const AlertEvidence& evidence);
  void ReadHost(const AlertRule& rule, const AlertEvidence& evidence, const DropJudge& drops, const Usual& usual,
                Readings& into);

  RuleSpikes spikes_;
  std::shared_ptr<const RuleFigures> last_rules_;
  BatchedRate opened_;
  BatchedRate dropped_;          // without those to many
  BatchedRate dropped_to_many_;  // to broadcast and multicast addresses
  Baseline dropped_past_;
  Baseline active_past_;  // connected_sources of the evidence
};

}  // namespace conntally
