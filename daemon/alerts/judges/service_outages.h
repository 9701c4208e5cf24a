// Which services used to answer and do not now; a service is an address and a port of TCP or UDP.
//
// A service is broken if it used to answer, far more of its attempts got no answer than in its past, or were refused
// for kRefusedFor (a service that restarts refuses for half a minute), and its answers became fewer: what strangers
// send without an answer, to a VPN's port or a rate-limited name server, breaks nothing. So the death of the host's own
// upstream resolver is reported, and a statsd sink, which never answers, is not. One whose latest attempts are answered
// recovers, and is not reported.
//
// It must be important: kImportant of all attempts, or kSourcesMin sources. Unimportant services count if kManyServices
// of them fail at once and receive kMost of the attempts where answers are usual: an outage that is spread over many. A
// network (an address's first 24 bits, of IPv6 64) of several services that ever answered is judged as one service of
// each protocol: an outage of a network whose services are each asked too rarely to judge. It counts if none of its
// services does.
//
// Bounded: kMax services and networks. Pure except for its memory. Threads: one owner.
#pragma once

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/alerts/evidence/evidence.h"
#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {

// Whether answers have become fewer than usual, by more than chance explains.
inline bool AreFewer(double answers, double usual) {
  constexpr double kFewer = 0.6;
  return answers <= kFewer * usual && answers + 2 * std::sqrt(answers + 1) <= usual;
}

class ServiceOutages {
 public:
  static constexpr std::size_t kMax = 2048;
  static constexpr double kRise = 0.3;  // of the share that is not answered, above its past
  static constexpr double kMost = 0.5;
  static constexpr std::uint32_t kSourcesMin = 5;
  static constexpr std::chrono::seconds kRefusedFor{15};

  struct Broken {
    std::string name;
    AnswerFigures::Service now;
    double past_share = 0;
    double part = 0;  // of all attempts
    bool important = false;

    double attempts() const { return now.attempts + now.refused; }
    double failed() const { return now.unanswered + now.refused; }
  };

  // Takes a new survey.
  void Follow(const std::vector<AnswerFigures::Service>& services, SteadyTime now);
  // As of the last survey.
  const std::vector<Broken>& broken() const { return broken_; }

  nlohmann::json Save() const;
  // The reason why `saved` cannot be used, without a change; else an empty text.
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const { return services_.size() * (sizeof(Key) + sizeof(Service) + 48); }

 private:
  static constexpr std::uint32_t kAttemptsMin = 8;
  static constexpr double kImportant = 0.1;
  static constexpr std::size_t kManyServices = 5;
  static constexpr double kAnsweredOnce = 0.3;  // a service used to answer if its past share is at most this
  static constexpr double kSmoothed = 60;       // seconds
  static constexpr std::chrono::seconds kPastMin{15};
  static constexpr double kAnsweredMin = 5;
  static constexpr std::chrono::minutes kForgottenAfter{60};

  using Key = std::tuple<IpAddress, std::uint16_t, std::uint8_t>;  // port and protocol; without a port: a network
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
  struct Survey {
    SteadyTime when;
    double attempts = 0;
    double weight = 0;               // against the past
    double made_where_answered = 0;  // attempts at services that used to answer
  };

  // Those of several services that ever answered, each as one service without a port.
  std::vector<AnswerFigures::Service> NetworksOf(const std::vector<AnswerFigures::Service>& services) const;
  std::optional<Broken> FollowOne(const AnswerFigures::Service& now, Survey& survey);

  std::map<Key, Service> services_;
  std::vector<Broken> broken_;
  SteadyTime last_at_{};
  bool just_restored_ = false;
};

}  // namespace conntally
