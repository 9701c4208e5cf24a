// The conntrack collector: one thread that subscribes to the kernel's events, by netlink or by BPF, applies them to the
// tallies and keeps them reconciled with the kernel's table. Events wait in the receive buffer for some milliseconds
// and are taken many at once. That costs a third of receiving each as it arrives, and spares the sender, the packet
// path, the wake-ups.
//
// If the kernel refuses (no capability, no conntrack), or the network namespace does not exist, it reports what is
// missing and tries again. When the path refers to another namespace, the tallies are compared with that one's table.
//
// Threads: Start and Stop on the owner's; all others on any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "collectors/conntrack/conntrack_health.h"
#include "collectors/conntrack/event_proof.h"
#include "collectors/conntrack/flows/flow_tracker.h"
#include "collectors/conntrack/gather_pace.h"
#include "collectors/conntrack/streams/event_source_choice.h"
#include "collectors/conntrack/streams/event_stream.h"
#include "collectors/conntrack/surveys/answer_survey.h"
#include "collectors/conntrack/surveys/connection_census.h"
#include "collectors/conntrack/surveys/destination_survey.h"
#include "collectors/system/collector.h"
#include "collectors/system/result.h"
#include "collectors/system/threads/worker_thread.h"

namespace conntally {

class FollowedNamespace;
class Reconciler;

class ConntrackCollector : public Collector {
 public:
  struct Options {
    WantedEventSource event_source = WantedEventSource::kAuto;
    std::uint32_t receive_buffer_bytes = 0;
    std::chrono::milliseconds reconcile_interval{0};
    std::uint32_t connections_max = 0;  // 0: the kernel's limit
    SourceGrouping grouping;
    std::string network_namespace_path;  // empty: the process's own namespace
  };

  // `tally` must outlive the collector, which takes one of its writers.
  ConntrackCollector(Options options, Tally& tally);

  void Start() override;
  void Stop() override { worker_.Stop(); }
  void Describe(CollectorReport& report) const override;

  // May change while the collector runs; the other Options may not.
  void set_reconcile_interval(std::chrono::milliseconds interval);

  // The named networks by which connections are counted; takes effect soon.
  void set_groups(std::shared_ptr<const NetworkGroups> groups) { tracker_.groups().Ask(std::move(groups)); }

  const ConntrackHealth& health() const { return health_; }

  // Counts of the connections that limits cover.
  ConnectionCensus& census() { return census_; }
  const ConnectionCensus& census() const { return census_; }

  // Which attempts are answered; null before the first survey.
  std::shared_ptr<const AnswerFigures> answers() const { return answers_.last(); }
  // The connections' destinations; null before the first survey.
  std::shared_ptr<const DestinationFigures> destinations() const { return destinations_.last(); }

 private:
  using Clock = std::chrono::steady_clock;

  enum class SessionEnd { kStopped, kOtherNamespace };

  void Run(const std::stop_token& stop);
  Result<SessionEnd> RunSession(Reconciler& reconciler, FollowedNamespace& network_namespace,
                                const std::stop_token& stop);
  void ApplyEvents(const EventStream::Received& received);
  Result<std::unique_ptr<EventStream>> OpenStream();
  Status Prove(std::unique_ptr<EventStream>& stream, Reconciler& reconciler);
  void TakeUp(const EventStream& stream);
  std::chrono::milliseconds ComparisonInterval(const EventStream& stream) const;
  Status TakeLosses(EventStream& stream, Reconciler& reconciler);
  template <typename Raw>
  void ApplyInStrides(std::span<const Raw> events);
  template <typename Raw>
  void ApplyStride(std::span<const Raw> events);
  // Both return true while there is more to do at once.
  bool Survey(Clock::time_point now, bool idle);
  bool Attribute();
  void NoteComparison(const Reconciler& reconciler);
  bool Wait(const EventStream& stream, const Reconciler& reconciler, GatherPace& pace);
  void Fail(const Error& error);
  void PublishTables();
  void ReadKernelSettings();
  std::int32_t Centiseconds(Clock::time_point when) const;
  TrackerTime Now() const;
  bool WaitForStop(std::chrono::nanoseconds timeout, int also_fd = -1);

  const Options options_;
  TallyWriter& tally_;
  FlowTracker tracker_;
  ConntrackHealth health_;
  ConnectionCensus census_;
  AnswerSurvey answers_;
  DestinationSurvey destinations_;
  EventSourceChoice source_;
  EventProof proof_;
  std::uint64_t proved_at_ = 0;  // comparisons
  std::uint64_t noted_at_ = 0;   // likewise
  unsigned proofs_ = 0;          // since the stream was opened
  std::vector<FlowTracker::Prepared> prepared_;
  std::atomic<std::int64_t> reconcile_interval_ms_;
  const Clock::time_point started_ = Clock::now();
  bool loss_told_ = false;         // and its repair is not logged yet
  std::uint32_t buffer_told_ = 0;  // bytes granted when they were last compared with the configured size
  std::string events_sysctl_;      // as last read
  Worker worker_;
};

}  // namespace conntally
