// /api/v1/sources/detail?source=192.0.2.7,2001:db8::1&rows=100: the connections of the named sources by protocol,
// destination port and state.
//
// The flow table belongs to the event thread and has no such figures. So a separate thread queries the kernel
// (source_survey.h), only while somebody asks: for the sources requested within kWantedFor, at most kWantedMax. A query
// starts no sooner than kFreshFor after the last one, and than kPause times its duration. `age_seconds` is the age of
// the answer; a source that was not queried yet is `pending`: ask again.
//
// Threads: Start and Stop on the owner's, Answer on the HTTP server's; a mutex guards what they share with the worker,
// which does not hold it during a query.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "collectors/conntrack/dumps/source_survey.h"
#include "collectors/system/threads/worker_thread.h"
#include "daemon/http/message.h"

namespace conntally {

class SourceDetails {
 public:
  static constexpr std::chrono::seconds kFreshFor{2};
  static constexpr std::chrono::seconds kWantedFor{30};
  static constexpr std::size_t kWantedMax = 64;
  static constexpr int kPause = 20;

  SourceDetails(SourceGrouping grouping, std::string network_namespace_path)
      : grouping_(grouping), network_namespace_path_(std::move(network_namespace_path)) {}

  void Start();
  void Stop() { worker_.Stop(); }

  http::Response Answer(const http::Request& request);

 private:
  using Clock = std::chrono::steady_clock;
  struct Wanted {
    Clock::time_point until{};
    std::optional<Clock::time_point> looked;  // when the figures below were read
    SurveyedConnections connections;
  };

  void Run(const std::stop_token& stop);
  // The sources to query now; none if it is too early.
  std::vector<IpAddress> Due(Clock::time_point now);
  void Publish(SourceSurvey survey, const Status& status, Clock::time_point began);
  bool Want(const IpAddress& source, Clock::time_point now);
  Prefix GroupOf(const IpAddress& source) const;

  const SourceGrouping grouping_;
  const std::string network_namespace_path_;
  std::mutex mutex_;
  std::condition_variable_any woken_;
  std::map<IpAddress, Wanted> wanted_;
  Clock::time_point not_before_{};
  std::string failure_;
  Worker worker_;
};

// A source's connections as JSON, the most frequent kinds first, at most `rows`. Pure.
std::string SurveyedJson(const std::string& name, const SurveyedConnections& connections, double age_seconds,
                         std::size_t rows);

}  // namespace conntally
