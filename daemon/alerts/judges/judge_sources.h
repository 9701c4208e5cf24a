// Judges single sources: SourceNearTableLimit, SourceNearConnectionLimit, SourceConnectionChurn.
//
// Churn is a change: a source opens connections faster than source_new_rate, and kTimes as fast as before (the 90th
// percentile of its last hour). A steady rate, however high, is the work of a resolver, a load balancer or a proxy. A
// rise over minutes is a warm-up, which the past follows. A source below kFollowedFrom of the threshold is not
// followed, and its past counts as that rate. In the first kWarmUp no past is known, and nothing is reported. The
// host's own addresses have kOwnTimes the thresholds, since opening connections is their work.
//
// Bounded: kFollowedMax sources, at most 1 KiB each.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "daemon/alerts/evidence/baseline.h"
#include "daemon/alerts/evidence/judge.h"

namespace conntally {

class SourceJudge {
 public:
  static constexpr std::size_t kFollowedMax = 512;

  void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  nlohmann::json Save() const;
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const;
  std::uint64_t turned_away() const { return turned_away_; }

 private:
  static constexpr double kTimes = 4;
  static constexpr double kOwnTimes = 5;
  static constexpr double kFollowedFrom = 0.125;
  static constexpr std::chrono::seconds kWarmUp{75};
  static constexpr std::chrono::minutes kForgottenAfter{60};
  struct Followed {
    Baseline rate;
    SteadyTime last_seen;
  };

  void ReadChurn(const AlertRules& rules, const AlertEvidence& evidence, const AlertEvidence::Source& source,
                 Readings& into);
  static void ReadLimits(const AlertRules& rules, const AlertEvidence::Source& source, Readings& into);

  std::map<std::string, Followed> followed_;
  std::optional<SteadyTime> first_look_;
  bool restored_ = false;
  bool just_restored_ = false;
  std::uint64_t turned_away_ = 0;
};

}  // namespace conntally
