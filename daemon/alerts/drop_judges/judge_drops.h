// Dropped and rejected packets by whose they are: SourceMatchesDropRule, RegularSourcesDropped.
//
// A stranger's dropped packets are weather: SourceMatchesDropRule is a fact (info) past the warning threshold of
// source_drop_rate, and a warning once it has been past the critical one for kStrangerFor. Those of a regular that
// fails are a warning, and critical, by a rule that rejects once it has done so for kRejectedFor.
//
// A regular fails when the packets that it loses are for a service that answers here (or, of one that answers nothing
// any more, any TCP port), and they are more than half as many as the connections it still opens. So a printer's
// broadcasts, a forbidden port now and then, and what conntrack calls invalid are no failure; nor are packets that
// somebody sends in a regular's name, while the regular itself gets through. What remains possible: who knows the
// addresses of several regulars that are silent now, and a rule that drops packets to a service of theirs, can make
// them look dropped for as long as he sends and they are silent. Nothing is taken from them by that.
//
// RegularSourcesDropped tells of the regulars that fail by one rule, or by none that is known, by their weight: one
// that was there in kRegularMinutes or more counts 1, one that was only proven half; one that was in kLongMinutes or
// more is enough by itself. Several began to fail within kOnsetTogether (a ban that finds one source after another is
// at its work), and for kDroppedFor, or kRejectedFor where the rule rejects: a rollout refuses its regulars for 40 s.
//
// And it is news: what a rule does to regulars all day is its work (advertisers that a gateway blocks, a limit on new
// connections, guests that may not see the office). Of each rule the weight is held against its own past, over which it
// must be kTold and kTimesUsual; of a rule that has stopped regulars at all, single ones are no news. A rule's past
// begins with the daemon, or with the rule; until it is known nothing is told of it.
//
// It tells as well of the host's own regular destinations that are cut off (own_destinations.h), by the rule that does
// it.
//
// Bounded: kEpisodesMax sources, kDropRatesMax pairs of a source and a rule, kServicesMax ports, RulePasts::kMax rules'
// past. Threads: one owner.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/alerts/drop_judges/own_destinations.h"
#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/evidence/rate_windows.h"
#include "daemon/alerts/evidence/regulars.h"
#include "daemon/alerts/evidence/rule_pasts.h"

namespace conntally {

class DropJudge {
 public:
  // The part of a rule in what is dropped now.
  struct RuleDrops {
    double rate = 0;
    std::vector<double> most;  // of its sources' rates, the kMost highest
    std::size_t sources = 0;
  };
  static constexpr std::size_t kMost = 3;

  void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  // As of the last look, by the rule's label; "" has those of no known rule.
  const std::map<std::string, RuleDrops>& by_rule() const { return by_rule_; }
  // Packets for which a translated address had no port are dropped, by no rule: NatPortsNearlyExhausted tells of them.
  bool ports_exhausted() const { return last_look_ < ports_exhausted_until_; }

  nlohmann::json Save() const;
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const;
  std::uint64_t turned_away() const {
    return drop_rates_forgotten_ + own_destinations_.turned_away() + pasts_.turned_away();
  }

 private:
  static constexpr std::size_t kDropRatesMax = 40'000;
  static_assert(kDropRatesMax > AlertEvidence::kDroppedMax * (RuleShares::kNamesMax + 1));
  static constexpr std::size_t kEpisodesMax = 4096;
  static constexpr std::size_t kServicesMax = 1024;
  static constexpr double kTimesUsual = 3;
  static constexpr double kUsuallyNone = 0.5;  // weight
  static constexpr std::uint8_t kLongMinutes = 10;
  static constexpr double kTold = 3;  // weight, to be told
  static constexpr std::chrono::minutes kStrangerFor{3};
  static constexpr std::chrono::seconds kOnsetTogether{60};
  static constexpr std::chrono::seconds kDroppedFor{18};
  static constexpr std::chrono::seconds kRejectedFor{42};
  static constexpr std::uint64_t kUnnamedWeighsLess = 10;      // in which rule a source is dropped by
  static constexpr std::chrono::seconds kRuleKnownWithin{15};  // what has no known rule yet may have one by then
  static constexpr std::chrono::seconds kOver{45};             // without a dropped packet
  static constexpr double kLately = 30;                        // seconds in which what was lost and opened fades
  static constexpr double kLostMin = 2;                        // packets, lately
  static constexpr double kLostToOpened = 0.5;
  static constexpr std::chrono::minutes kServiceForgottenAfter{60};

  struct DropRate {
    BatchedRate rate;
    SteadyTime last_seen;
  };
  // While a source's packets are being dropped.
  struct Episode {
    SteadyTime onset;
    SteadyTime last;
    std::uint8_t minutes = 0;  // it was regular in, at the onset
    std::uint64_t packets = 0;
    std::uint64_t opened = 0;
    double lost_lately = 0;    // packets to services
    double opened_lately = 0;  // connections
    bool known_service = false;
    std::string rule;  // that most of its packets are dropped by
    bool fails = false;
    std::optional<bool> news;  // while it fails: of a rule that does not usually stop regulars
  };

  void FollowServices(const AlertEvidence& evidence);
  void FollowRules(const AlertEvidence& evidence);
  void FollowEpisode(const AlertEvidence& evidence, const AlertEvidence::DroppedSource& source, double elapsed);
  void ReadSource(const AlertRules& rules, const AlertEvidence& evidence, const AlertEvidence::DroppedSource& source,
                  Readings& into);
  void ReadRegulars(const AlertRules& rules, Readings& into);
  void ReadOwn(const AlertEvidence& evidence, Readings& into);
  static double WeightOf(const Episode& episode);

  std::map<std::pair<std::string, std::string>, DropRate> drop_rates_;
  std::uint64_t drop_rates_forgotten_ = 0;  // before their time
  std::map<std::string, RuleDrops> by_rule_;
  Regulars regulars_;
  OwnDestinations own_destinations_;
  std::map<std::pair<std::uint8_t, std::uint16_t>, SteadyTime> services_;  // protocol and port: when they last answered
  std::map<std::string, Episode> episodes_;                                // by source
  std::map<std::string, double> rates_;                                    // of the sources, at this look
  std::set<std::string> told_;                                             // rules
  RulePasts pasts_;                                                        // the weight of the regulars that each stops
  std::set<std::string> news_;                                             // rules of which single ones are
  std::set<std::string> rejecting_;                                        // labels of rules
  std::set<std::string> invalid_;                                          // likewise: that drop what is invalid
  std::shared_ptr<const RuleFigures> last_rules_;
  SteadyTime last_look_{};
  bool just_restored_ = false;
  SteadyTime ports_exhausted_until_{};
};

}  // namespace conntally
