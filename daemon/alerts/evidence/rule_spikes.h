// Which drop and reject rules match far more packets than they lately did. A rule's rate now, over the last kNow, is
// set against the median of its rates in the minutes before, at most kPast of them: a median is not moved by bursts
// that are over. A rule that was quiet is taken to have matched kQuietRate, so that ten packets after one are no spike;
// one that is not known for kPastMin yet has no past to be set against, nor has any at the daemon's start.
//
// Rules that say the same are one, since an alert names a rule by its text. Each is followed by itself, so that one
// more of them, with whatever it counted before, is no spike.
//
// Only rules that count are followed, kRulesMax at most: of one that is quiet it is enough to know since when. Where
// there is no room for one more that counts, the one that has been quiet longest makes room: what it did before that is
// forgotten. One that finds no room, since all that are followed count at the same time, is turned away; that is
// counted once for each rule.
//
// Pure but for its memory: some words for each rule, and kRulesMax times kBucketsMax rates. Threads: one owner.
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

  // Takes in a reading of the counters, made at about `now`.
  void Add(const RuleFigures& figures, SteadyTime now);

  // Of all rules with a past that the last reading had.
  std::vector<Spike> Spikes() const;
  // Rules that found no room, or made room.
  std::uint64_t rules_turned_away() const { return turned_away_; }
  std::size_t bytes() const { return rules_.size() * (sizeof(Followed) + kBucketsMax * sizeof(double) + 256); }

 private:
  struct Sample {
    SteadyTime when;
    std::uint64_t total;
  };
  struct Followed {
    std::uint64_t total = 0;  // since it is followed
    std::deque<Sample> recent;
    std::deque<double> past;  // rates, a bucket each
    Sample bucket{};          // where the present one begins
    SteadyTime last_seen;
    SteadyTime last_rose;
  };
  // What is known of each rule, followed or not.
  struct Known {
    bool counts = false;  // it was seen with a counter
    bool turned_away = false;
    std::uint32_t occurrence = 0;
    std::uint64_t packets = 0;
    SteadyTime quiet_since;
  };
  struct OfBackend {
    std::shared_ptr<const Ruleset> ruleset;
    std::vector<Known> rules;  // by index of the ruleset's
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
