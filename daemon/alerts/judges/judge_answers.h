// Trouble that is spread thin over many sources: ConnectionsUnanswered, HalfOpenFlood.
//
// Unanswered: of the sources that have proved themselves and lately tried to connect, the share whose attempts mostly
// got no answer; each counts once, so one client that asks everywhere moves nothing, and forged sources, which prove
// nothing, do not count at all. And, service by service (an address and port), the share of attempts that got no
// answer, or were refused for kRefusedFor (a service that restarts refuses for half a minute), where the service used
// to answer and much depends on it: kImportant of all attempts, or kSourcesMin sources. So the host's own upstream
// resolver is told when it dies, and a statsd sink, which never answers, is not. Services that little depends on count
// where kManyServices of them fail at once, and get kMost of what is asked where answers are usual: an outage that is
// spread thin. All of it is held against this host's own past.
//
// Half open: TCP connections of sources that proved nothing, without a completed handshake after three seconds, far
// more than in the past, from kHalfOpenSourcesMin sources or more (fewer are a scan, or one source's trouble). Where
// connections are unanswered, or were within kUnansweredKept, as many as all the usual attempts and kRetriesMost times
// as many would leave half open are no flood.
//
// Bounded: kServicesMax services.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "daemon/alerts/evidence/baseline.h"
#include "daemon/alerts/evidence/judge.h"

namespace conntally {

class AnswersJudge {
 public:
  static constexpr std::size_t kServicesMax = 1024;
  static constexpr std::uint64_t kProvenMin = 3;
  static constexpr double kRise = 0.3;  // of the share, over its past
  static constexpr std::uint32_t kAttemptsMin = 8;
  static constexpr std::chrono::seconds kRefusedFor{20};
  static constexpr double kImportant = 0.1;
  static constexpr std::uint32_t kSourcesMin = 5;
  static constexpr std::size_t kManyServices = 5;
  static constexpr double kMost = 0.5;
  static constexpr double kAnsweredOnce = 0.3;  // the past share of unanswered, at most, of what used to answer
  static constexpr double kHalfOpenUsual = 10;  // at least that many are taken to be usual
  static constexpr std::uint64_t kHalfOpenSourcesMin = 50;
  static constexpr double kRetriesMost = 4;
  static constexpr std::chrono::seconds kUnansweredKept{30};  // of attempts that are counted for 23 s

  void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  nlohmann::json Save() const;
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const;

 private:
  using ServiceKey = std::tuple<IpAddress, std::uint16_t, std::uint8_t>;
  struct Service {
    double answered = 0;  // attempts, of all surveys
    double share = 0;     // unanswered, smoothed over kSmoothed
    double part = 0;      // of all attempts, likewise
    double sources = 0;   // likewise
    SteadyTime first_seen{};
    SteadyTime last_seen{};
    std::optional<SteadyTime> broke;  // since it does not answer
  };
  static constexpr double kSmoothed = 60;  // seconds
  static constexpr std::chrono::seconds kServicePastMin{15};
  static constexpr double kAnsweredMin = 5;
  static constexpr std::chrono::minutes kForgottenAfter{60};

  void ReadUnanswered(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);
  void FollowServices(const AlertEvidence& evidence);
  void ReadHalfOpen(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  std::shared_ptr<const AnswerFigures> last_;
  SteadyTime last_at_{};
  Baseline share_;
  Baseline half_open_;
  Baseline attempts_;              // of TCP, in a survey
  SteadyTime unanswered_until_{};  // some may be half open for want of an answer
  std::map<ServiceKey, Service> services_;
  bool just_restored_ = false;
  struct Broken {
    std::string name;
    AnswerFigures::Service now;
    double past_share = 0;
    double part = 0;
  };
  std::vector<Broken> broken_;  // services, as of the last survey
};

}  // namespace conntally
