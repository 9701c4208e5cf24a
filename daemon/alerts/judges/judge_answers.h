// Judges trouble that is spread over many sources: ConnectionsUnanswered, HalfOpenFlood.
//
// Unanswered: the share of proven sources whose recent attempts mostly got no answer. Each source counts once, so one
// client that tries everywhere changes nothing; forged sources are never proven and do not count. Likewise the share of
// the proven sources of each family, and of the attempts that this host itself makes. Also, per service (an
// address and port), the share of attempts that got no answer, or were refused for kRefusedFor (a service that restarts
// refuses for half a minute). A service counts if it used to answer and is important: kImportant of all attempts, or
// kSourcesMin sources. So the death of the host's own upstream resolver is reported, and a statsd sink, which never
// answers, is not. Its answers must also have become fewer: what strangers send without an answer, to a VPN's port or a
// rate-limited name server, breaks nothing. Unimportant services count if kManyServices of them fail at once and
// receive kMost of the attempts where answers are usual: an outage that is spread over many. All of it is compared with
// this host's own past.
//
// What recovers is not reported: a source or a service whose latest attempts are answered.
//
// Half open: far more TCP connections of unproven sources than in the past have no completed handshake after three
// seconds, from kHalfOpenSourcesMin sources or more (fewer are a scan, or one source's trouble, unless they have
// thousands). While connections are unanswered, and for kUnansweredKept after, half-open connections are not a flood up
// to the number that kRetriesMost times the usual attempts would leave. Until a past is known, the most that was half
// open in the first kStart is usual.
//
// Bounded: kServicesMax services.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "daemon/alerts/evidence/baseline.h"
#include "daemon/alerts/evidence/judge.h"

namespace conntally {

class AnswersJudge {
 public:
  static constexpr std::size_t kServicesMax = 1024;
  static constexpr std::uint64_t kProvenMin = 3;
  static constexpr std::uint64_t kManySources = 20;  // reported from the share kRise on
  static constexpr std::uint64_t kOwnMin = 20;       // attempts of this host's own
  static constexpr double kTimesUsual = 1.5;         // so many failures, besides the least
  static constexpr double kRise = 0.3;               // of the share, above its past
  static constexpr std::uint32_t kAttemptsMin = 8;
  static constexpr std::chrono::seconds kRefusedFor{15};
  static constexpr double kImportant = 0.1;
  static constexpr std::uint32_t kSourcesMin = 5;
  static constexpr std::size_t kManyServices = 5;
  static constexpr double kMost = 0.5;
  static constexpr double kAnsweredOnce = 0.3;  // a service used to answer if its past share is at most this
  static constexpr double kHalfOpenUsual = 10;  // the usual number is at least this
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
  using ServiceKey = std::tuple<IpAddress, std::uint16_t, std::uint8_t>;
  struct Service {
    double answered = 0;  // attempts, over all surveys
    double share = 0;     // unanswered, smoothed over kSmoothed
    double part = 0;      // of all attempts, smoothed likewise
    double sources = 0;   // smoothed likewise
    double answers = 0;   // of a survey, smoothed likewise
    SteadyTime first_seen{};
    SteadyTime last_seen{};
    std::optional<SteadyTime> broke;  // when it stopped answering
  };
  static constexpr double kSmoothed = 60;  // seconds
  static constexpr std::chrono::seconds kServicePastMin{15};
  static constexpr double kAnsweredMin = 5;
  static constexpr std::chrono::minutes kForgottenAfter{60};

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
  void FollowServices(const AlertEvidence& evidence);
  void ReadHalfOpen(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  std::shared_ptr<const AnswerFigures> last_;
  SteadyTime last_at_{};
  Population all_, ipv4_, ipv6_;  // proven sources
  Population own_;                // this host's own attempts
  Baseline own_answers_;
  Baseline half_open_;
  SteadyTime began_{};
  double half_open_at_start_ = 0;
  Baseline attempts_;              // TCP attempts per survey
  SteadyTime unanswered_until_{};  // until then some may be half open because nobody answered
  std::map<ServiceKey, Service> services_;
  bool just_restored_ = false;
  struct Broken {
    std::string name;
    AnswerFigures::Service now;
    double past_share = 0;
    double part = 0;
  };
  std::vector<Broken> broken_;  // services at the last survey
};

}  // namespace conntally
