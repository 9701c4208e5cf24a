// Which drop and reject rules match far more packets than before. A rule's present rate, over the last kNow, is
// compared with the median of its rates in the minutes before, at most kPast; past bursts do not move a median. A quiet
// rule is treated as if it had matched kQuietRate, so that ten packets after one are not a spike. A rule known for less
// than kPastMin has no past, and at the daemon's start no rule has.
//
// Rules with the same text count as one, since an alert names a rule by its text. Their counters are followed
// separately, so that adding one more, with any count, is not a spike.
//
// Only rules whose counter rises are followed, at most kRulesMax; for a quiet rule it is enough to know since when it
// has been quiet. A new rule replaces the one that has been quiet longest, whose past is then forgotten. If no followed
// rule is quiet, the new one is turned away, and counted once.
//
// Pure except for its memory: some words per rule, and kRulesMax times kBucketsMax rates. Threads: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collectors/rules/rule_counters.h"
#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {

class RuleSpikes {
 public:
  static constexpr std::chrono::seconds kNow{20};
  static constexpr std::chrono::seconds kBucket{30};
  static constexpr std::chrono::minutes kPast{30};
  static constexpr std::chrono::seconds kPastMin{60};
  static constexpr double kQuietRate = 1;  // packets per second
  static constexpr std::size_t kRulesMax = 2000;
  static constexpr std::size_t kBucketsMax = 60;  // kPast / kBucket

  struct Spike {
    std::string rule;  // its text, as a label
    double times = 0;  // its past rate
    double rate = 0;   // packets per second
    double past_rate = 0;
    std::uint64_t packets = 0;  // in kNow
  };

  // Takes a reading of the counters, made at about `now`.
  void Add(const RuleFigures& figures, SteadyTime now);

  // For all rules of the last reading that have a past.
  std::vector<Spike> Spikes() const;
  // Rules turned away or replaced.
  std::uint64_t rules_turned_away() const { return turned_away_; }
  std::size_t bytes() const { return rules_.size() * (sizeof(Followed) + kBucketsMax * sizeof(double) + 256); }

 private:
  struct Sample {
    SteadyTime when;
    std::uint64_t total;
  };
  struct Followed {
    std::uint64_t total = 0;  // since it has been followed
    std::deque<Sample> recent;
    std::deque<double> past;  // rates, one per bucket
    Sample bucket{};          // start of the current one
    SteadyTime last_seen;
    SteadyTime last_rose;
  };
  // About each rule, followed or not.
  struct Known {
    bool counts = false;  // it had a counter
    bool turned_away = false;
    std::uint32_t occurrence = 0;
    std::uint64_t packets = 0;
    SteadyTime quiet_since;
  };
  struct OfBackend {
    std::shared_ptr<const Ruleset> ruleset;
    std::vector<Known> rules;  // by index in the ruleset
  };
  struct Newcomer {
    Known* known = nullptr;
    SteadyTime quiet_since;
    std::uint64_t rise = 0;
  };
  using Newcomers = std::map<std::string, Newcomer>;  // by label

  static void TakeOver(OfBackend& known, const BackendFigures& figures);
  void Look(OfBackend& known, const BackendFigures& figures, SteadyTime now, Newcomers& newcomers);
  void Admit(const Newcomers& newcomers, SteadyTime now);
  void Follow(Followed& rule, SteadyTime now);

  std::map<std::string, Followed> rules_;  // by label
  std::map<RuleBackend, OfBackend> known_;
  SteadyTime last_reading_{};
  std::uint64_t turned_away_ = 0;
};

}  // namespace conntally
