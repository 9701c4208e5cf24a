// Judges dropped and rejected packets by their source: SourceMatchesDropRule, RegularSourcesDropped.
//
// A stranger's dropped packets are normal: SourceMatchesDropRule is an info past the warning threshold of
// source_drop_rate, and a warning after kStrangerFor past the critical one. For a regular source that fails it is a
// warning, then critical; if the rule rejects, only after kRejectedFor.
//
// A regular source fails if the packets that it loses are for a service that answers here (or for any TCP port, if the
// source opens no connections any more), and are more than half as many as the connections that it still opens. It no
// longer fails once it has opened connections and lost nothing for kThrough. So these are not failures: a printer's
// broadcasts, an occasional packet to a forbidden port, packets in conntrack state INVALID, and packets forged with a
// regular's address while the regular itself gets through. One deception remains possible: an attacker who knows the
// addresses of several regulars that are silent now, and a rule that drops packets to their service, can make them look
// dropped while he sends and they stay silent. They lose nothing by it.
//
// RegularSourcesDropped reports the regulars that fail because of one rule, or of no known rule, by weight: a source
// seen in kRegularMinutes or more counts 1, one that was only proven counts half, and one seen in kLongMinutes or more
// is enough by itself. Several must have begun to fail within kOnsetTogether (a ban that finds one source after another
// does its work). They must have failed for kDroppedFor, or kRejectedFor if the rule rejects: a rollout refuses its
// regulars for 40 s. In the daemon's first minutes it is not known who comes and goes at a rule: then few must have
// failed for kFewDroppedFor, in which some would have got through again. Who has just opened a connection and lost
// nothing since is not counted yet.
//
// It must also be unusual for the rule (rule_habits.h). If a rule has stopped regulars before, a single one does not
// count. A rule that drops what exceeds a limit is never critical.
//
// It also reports the host's own regular destinations that a rule cuts off (own_destinations.h).
//
// Bounded: kEpisodesMax sources, kDropRatesMax pairs of a source and a rule, kServicesMax ports, and what RuleHabits
// keeps. Threads: one owner.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/alerts/drop_judges/own_destinations.h"
#include "daemon/alerts/drop_judges/rule_habits.h"
#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/evidence/rate_windows.h"
#include "daemon/alerts/evidence/regulars.h"

namespace conntally {

class DropJudge {
 public:
  // A rule's part in the present drops.
  struct RuleDrops {
    double rate = 0;
    std::vector<double> most;  // the kMost highest rates of its sources
    std::size_t sources = 0;
  };
  static constexpr std::size_t kMost = 3;

  void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  // At the last evaluation, by the rule's label; "" has the drops of no known rule.
  const std::map<std::string, RuleDrops>& by_rule() const { return by_rule_; }
  // Packets are dropped because a translated address had no port, not by a rule: NatPortsNearlyExhausted reports them.
  bool ports_exhausted() const { return last_look_ < ports_exhausted_until_; }

  nlohmann::json Save() const;
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const;
  std::uint64_t turned_away() const {
    return drop_rates_forgotten_ + own_destinations_.turned_away() + habits_.turned_away();
  }

 private:
  static constexpr std::size_t kDropRatesMax = 40'000;
  static_assert(kDropRatesMax > AlertEvidence::kDroppedMax * (RuleShares::kNamesMax + 1));
  static constexpr std::size_t kEpisodesMax = 4096;
  static constexpr std::size_t kServicesMax = 1024;
  static constexpr std::uint8_t kLongMinutes = 10;
  static constexpr double kTold = RuleHabits::kTold;
  static constexpr std::chrono::minutes kStrangerFor{3};
  static constexpr std::chrono::seconds kOnsetTogether{25};
  static constexpr std::chrono::seconds kDroppedFor{18};
  static constexpr std::chrono::seconds kFewDroppedFor{30};
  static constexpr std::chrono::seconds kRejectedFor{42};
  static constexpr double kMany = 12;                          // weight
  static constexpr double kUnnamedWeighsLess = 10;             // when choosing the rule that drops a source
  static constexpr std::chrono::seconds kRuleKnownWithin{15};  // until then the rule of a drop may still become known
  static constexpr std::chrono::seconds kOver{45};             // without a dropped packet
  static constexpr double kTriedMost = 2;                      // packets per second
  static constexpr double kTimesTheOther = 1.5;  // a source's rule is another once that drops so much more of it
  static constexpr std::chrono::seconds kNewsWithin{20};
  static constexpr std::chrono::seconds kCutOffFor{3};
  static constexpr std::chrono::seconds kThrough{15};    // without one, while it opens connections: it gets through
  static constexpr std::chrono::seconds kBack{8};        // likewise, of one that opened nothing until its last loss
  static constexpr std::chrono::seconds kDoubtAfter{5};  // likewise: it is not counted to begin an alert
  static constexpr double kLately = 30;                  // seconds; time constant of what was lost and opened lately
  static constexpr double kLostMin = 2;                  // packets, lately
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
    std::uint8_t minutes = 0;  // in which it was regular, at the onset
    std::uint64_t packets = 0;
    std::uint64_t opened = 0;
    double lost_lately = 0;    // packets to services
    double tried_lately = 0;   // those, and all of TCP
    double opened_lately = 0;  // connections
    double opens_every = 0;    // seconds, before the onset; at most kLately
    SteadyTime last_opened;
    bool known_service = false;
    std::string rule;  // that drops most of its packets
    bool fails = false;
    std::optional<bool> news;  // while it fails: whether the rule does not usually stop regulars
    SteadyTime failing_since{};
    bool failed = false;     // so far
    bool told = false;       // so far: its rule was reported
    bool recovered = false;  // it failed, or was cut off, and gets through again
    bool cut_off = true;     // it opened nothing between its first and its last loss

    double weight() const { return minutes >= kRegularMinutes ? 1 : 0.5; }
    // It opened a connection after its last loss, which is so long ago.
    bool MaySendAgain(SteadyTime now, std::chrono::seconds since) const {
      return last_opened > last && now - last >= since;
    }
    // Bounded, so that one source does not make what it loses the rule's usual work.
    double tried_rate() const { return std::min(tried_lately / kLately, kTriedMost); }
  };
  // Of one source's dropped packets.
  struct ByRule {
    std::uint64_t packets = 0;
    double rate = 0;
    std::string vias;
  };
  using ByRules = std::map<std::string, ByRule>;  // by label

  void FollowServices(const AlertEvidence& evidence);
  void FollowRules(const AlertEvidence& evidence);
  ByRules FollowRates(const AlertEvidence& evidence, const AlertEvidence::DroppedSource& source);
  void FollowEpisode(const AlertEvidence& evidence, const AlertEvidence::DroppedSource& source, const ByRules& by_rules,
                     double elapsed);
  void FollowHabits(SteadyTime now);
  void ReadSource(const AlertRules& rules, const AlertEvidence::DroppedSource& source, const ByRules& by_rules,
                  Readings& into);
  std::chrono::seconds LastsFor(const std::string& label, double weight) const;
  void ReadRegulars(const AlertRules& rules, Readings& into);
  void ReadOwn(const AlertEvidence& evidence, Readings& into);

  std::map<std::pair<std::string, std::string>, DropRate> drop_rates_;
  std::uint64_t drop_rates_forgotten_ = 0;  // evicted early
  std::map<std::string, RuleDrops> by_rule_;
  Regulars regulars_;
  OwnDestinations own_destinations_;
  std::map<std::pair<std::uint8_t, std::uint16_t>, SteadyTime> services_;  // protocol and port: when they last answered
  std::map<std::string, Episode> episodes_;                                // by source
  std::map<std::string, double> rates_;                                    // of the sources, at this evaluation
  std::set<std::string> told_;                                             // rules reported
  RuleHabits habits_;
  std::set<std::string> news_;       // rules for which a single regular is unusual
  std::set<std::string> rejecting_;  // labels of rules that reject
  std::set<std::string> invalid_;    // labels of rules that drop INVALID packets
  std::set<std::string> limiting_;   // labels of rules that drop what exceeds a limit
  std::shared_ptr<const RuleFigures> last_rules_;
  SteadyTime last_look_{};
  bool just_restored_ = false;
  SteadyTime ports_exhausted_until_{};
};

}  // namespace conntally
