// Judges trouble that is spread over many sources: ConnectionsUnanswered, HalfOpenFlood.
//
// Unanswered: the share of proven sources whose recent attempts mostly got no answer. Each source counts once, so one
// client that tries everywhere changes nothing; forged sources are never proven and do not count. Likewise the share of
// the proven sources of each family, and of the attempts that this host itself makes. Also, the services that used to
// answer and do not (service_outages.h). All of it is compared with this host's own past. A source whose latest
// attempts are answered recovers, and is not reported.
//
// Half open: far more TCP connections of unproven sources than in the past have no completed handshake after three
// seconds, from kHalfOpenSourcesMin sources or more (fewer are a scan, or one source's trouble, unless they have
// thousands). While connections are unanswered, and for kUnansweredKept after, half-open connections are not a flood up
// to the number that kRetriesMost times the usual attempts would leave. Until a past is known, the most that was half
// open in the first kStart is usual.
//
// Bounded: ServiceOutages::kMax services and networks.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "daemon/alerts/evidence/baseline.h"
#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/judges/service_outages.h"

namespace conntally {

class AnswersJudge {
 public:
  static constexpr std::uint64_t kProvenMin = 3;
  static constexpr std::uint64_t kManySources = 20;  // reported from the share ServiceOutages::kRise on
  static constexpr std::uint64_t kOwnMin = 20;       // attempts of this host's own
  static constexpr double kTimesUsual = 1.5;         // so many failures, besides the least
  static constexpr double kHalfOpenUsual = 10;       // the usual number is at least this
  static constexpr std::uint64_t kHalfOpenSourcesMin = 50;
  static constexpr std::uint64_t kHalfOpenFewMin = 3;       // sources, if they have
  static constexpr std::uint64_t kHalfOpenOfFewMin = 1000;  // half-open connections
  static constexpr double kRetriesMost = 4;
  static constexpr std::chrono::seconds kStart{30};
  static constexpr std::chrono::seconds kUnansweredKept{30};  // attempts count for 23 s

  void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  nlohmann::json Save() const;
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const;

 private:
  void ReadUnanswered(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);
  // Some that try to connect, or attempts, and how many fail.
  struct Population {
    Baseline share;
    Baseline failed;  // attempts
  };
  // What is saved, by name.
  template <typename Self>
  static auto PastsOf(Self& self) {
    return std::array{std::pair{"share", &self.all_.share},         std::pair{"failed", &self.all_.failed},
                      std::pair{"ipv4_share", &self.ipv4_.share},   std::pair{"ipv4_failed", &self.ipv4_.failed},
                      std::pair{"ipv6_share", &self.ipv6_.share},   std::pair{"ipv6_failed", &self.ipv6_.failed},
                      std::pair{"own_share", &self.own_.share},     std::pair{"own_failed", &self.own_.failed},
                      std::pair{"own_answers", &self.own_answers_}, std::pair{"half_open", &self.half_open_},
                      std::pair{"attempts", &self.attempts_}};
  }
  auto Pasts() { return PastsOf(*this); }
  auto Pasts() const { return PastsOf(*this); }
  static std::optional<double> UsualOfUnusual(Population& past, SteadyTime now, std::uint64_t failed, std::uint64_t all,
                                              std::uint64_t failed_attempts, std::uint64_t least);
  double ReadShares(const AlertRule& rule, const AlertEvidence& evidence, std::string& text);
  void ReadHalfOpen(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  std::shared_ptr<const AnswerFigures> last_;
  Population all_, ipv4_, ipv6_;  // proven sources
  Population own_;                // this host's own attempts
  Baseline own_answers_;
  Baseline half_open_;
  SteadyTime began_{};
  double half_open_at_start_ = 0;
  Baseline attempts_;              // TCP attempts per survey
  SteadyTime unanswered_until_{};  // until then some may be half open because nobody answered
  ServiceOutages services_;
};

}  // namespace conntally
