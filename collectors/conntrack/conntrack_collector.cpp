#include "collectors/conntrack/conntrack_collector.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <poll.h>
#include <sodium.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "collectors/conntrack/decode/decode_record.h"
#include "collectors/conntrack/reconciler.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/proc_files.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kReadingsPerLossCheck = 16;  // while the queue is not drained
constexpr auto kHeartbeat = 500ms;              // the longest wait
constexpr auto kRetry = 5s;                     // after the kernel refused
constexpr auto kRetryNamespace = 1s;            // while the namespace does not exist
// Messages decoded together and then applied together: enough that their prefetches overlap, few enough to stay in the
// L1 cache.
constexpr std::size_t kStride = 64;

std::uint64_t RandomSecret() {
  std::uint64_t secret = 0;
  randombytes_buf(&secret, sizeof secret);
  return secret;
}

std::string Advice(const Error& error) {
  switch (error.code) {
    case EPERM: return "needs CAP_NET_ADMIN: run as root, start it by its systemd unit, or add the capability";
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT: return "the kernel has no netfilter netlink: load nfnetlink and nf_conntrack_netlink";
    case EINVAL:
    case EOPNOTSUPP: return "the kernel has no conntrack netlink: modprobe nf_conntrack_netlink";
    case ENOENT: return "waiting for it; ip netns list shows the namespaces there are";
    default: return "trying again";
  }
}

}  // namespace

ConntrackCollector::ConntrackCollector(Options options, Tally& tally)
    : options_(std::move(options)),
      tally_(tally.AddWriter()),
      tracker_({.grouping = options_.grouping,
                .connections_max = options_.connections_max,
                .hash = KeyedHash::WithRandomSecret(),
                .ports_secret = RandomSecret()},
               tally_),
      census_(options_.grouping, KeyedHash::WithRandomSecret()),
      answers_(options_.grouping, KeyedHash::WithRandomSecret()),
      destinations_(options_.grouping, KeyedHash::WithRandomSecret()),
      source_(options_.event_source, options_.receive_buffer_bytes),
      prepared_(kStride),
      reconcile_interval_ms_(options_.reconcile_interval.count()) {}

void ConntrackCollector::Start() {
  worker_.Start(
      "conntrack", [this](const std::stop_token& stop) { Run(stop); }, [this](const Error& error) { Fail(error); });
}

void ConntrackCollector::Describe(CollectorReport& report) const {
  const auto load = [](const auto& figure) { return figure.load(std::memory_order_relaxed); };
  const double seconds = static_cast<double>(load(health_.last_reconcile_duration_us)) / 1e6;
  report.statuses["conntrack"] = {load(health_.subscribed), seconds, health_.failure()};
  report.overflows["connections"] = load(health_.connections_turned_away);
  report.overflows["sources"] = load(health_.sources_turned_away);
  report.overflows["refused_connections"] = load(health_.refused_turned_away);
  report.overflows["limited_sources"] = census_.sources_turned_away();
  report.overflows["destinations"] = destinations_.destinations_turned_away();
  report.overflows["destination_sources"] = destinations_.sources_turned_away();
  report.figures.push_back({.name = "conntally_event_source_fallbacks_total",
                            .help = "Times that events by bpf proved wrong, so that they come by netlink.",
                            .kind = CollectorFigure::Kind::kCounter,
                            .value = static_cast<double>(source_.fallbacks())});
  report.figures.push_back({.name = "conntally_flow_table_bytes",
                            .help = "Memory of the tables that hold them.",
                            .value = static_cast<double>(load(health_.memory_bytes))});
}

void ConntrackCollector::set_reconcile_interval(std::chrono::milliseconds interval) {
  reconcile_interval_ms_.store(interval.count(), std::memory_order_relaxed);
}

void ConntrackCollector::Run(const std::stop_token& stop) {
  FollowedNamespace network_namespace(options_.network_namespace_path);
  Reconciler reconciler(tracker_, tally_, health_, options_.reconcile_interval);
  std::chrono::milliseconds pause{0};
  do {
    const auto followed = network_namespace.Follow();
    Result<SessionEnd> ended = SessionEnd::kStopped;
    const auto ran = Caught([&] {
      ended = followed ? RunSession(reconciler, network_namespace, stop) : Result<SessionEnd>(followed.error());
    });
    if (!ran) ended = ran.error();
    if (ended && *ended == SessionEnd::kStopped) return;
    pause = 0ms;
    if (ended) {
      health_.synced.store(false, std::memory_order_relaxed);
      spdlog::warn("conntrack: the network namespace {} was replaced: comparing with the new one's table",
                   options_.network_namespace_path);
    } else {
      Fail(ended.error());
      pause = followed ? kRetry : kRetryNamespace;
    }
    reconciler.Restart();
  } while (!WaitForStop(pause));
}

Result<ConntrackCollector::SessionEnd> ConntrackCollector::RunSession(Reconciler& reconciler,
                                                                      FollowedNamespace& network_namespace,
                                                                      const std::stop_token& stop) {
  ReadKernelSettings();
  auto opened = OpenStream();
  if (!opened) return opened.error();
  std::unique_ptr<EventStream>& stream = *opened;
  // After a failure it counts as working only once the table has been read too. Otherwise each attempt that fails there
  // would be reported as working first.
  if (health_.failure().empty()) health_.subscribed.store(true, std::memory_order_relaxed);
  const std::uint64_t comparisons = reconciler.comparisons();
  Clock::time_point settings_read = Clock::now();
  GatherPace pace(stream->capacity_events(), settings_read);
  unsigned readings_since_losses_were_taken = 0;
  for (;;) {
    health_.heartbeat.fetch_add(1, std::memory_order_relaxed);
    const auto received = stream->Receive();
    if (!received) return received.error();
    ApplyEvents(*received.value());
    const bool drained = received.value()->drained;
    const Clock::time_point now = Clock::now();
    pace.NoteEvents(now, received.value()->events);
    if (drained || ++readings_since_losses_were_taken >= kReadingsPerLossCheck) {
      readings_since_losses_were_taken = 0;
      if (const auto taken = TakeLosses(*stream, reconciler); !taken) return taken.error();
    }
    reconciler.set_interval(ComparisonInterval(*stream));
    if (const auto stepped = reconciler.Step(now, Now(), drained); !stepped) return stepped.error();
    NoteComparison(reconciler);
    if (const auto proved = Prove(stream, reconciler); !proved) return proved.error();
    if (!health_.subscribed.load(std::memory_order_relaxed) && reconciler.comparisons() != comparisons) {
      health_.set_failure("");
      health_.subscribed.store(true, std::memory_order_relaxed);
    }
    if (loss_told_ && health_.synced.load(std::memory_order_relaxed)) {
      spdlog::info("conntrack: the tallies match the kernel's table again");
      loss_told_ = false;
    }
    PublishTables();
    if (now - settings_read > 1s) {
      const auto followed = network_namespace.Follow();
      if (!followed) return followed.error();
      if (*followed == FollowedNamespace::Outcome::kEntered) return SessionEnd::kOtherNamespace;
      ReadKernelSettings();
      if (events_sysctl_ == "2" && !stream->listens()) return Error{"nf_conntrack_events was set to 2", EAGAIN};
      settings_read = now;
    }
    for (const auto& refused : tracker_.refused()) answers_.NoteRefused(refused, Now());
    tracker_.ForgetRefused();
    const bool busy = Survey(now, pace.idle(now));
    const bool attributing = Attribute();
    if (reconciler.active() || attributing || busy || !drained) {
      if (stop.stop_requested()) return SessionEnd::kStopped;
      continue;
    }
    if (Wait(*stream, reconciler, pace)) return SessionEnd::kStopped;
  }
}

void ConntrackCollector::ApplyEvents(const EventStream::Received& received) {
  ApplyInStrides(std::span<const Bytes>(received.messages));
  ApplyInStrides(received.records);
}

template <typename Raw>
void ConntrackCollector::ApplyInStrides(std::span<const Raw> events) {
  for (std::size_t at = 0; at < events.size(); at += kStride) {
    ApplyStride(events.subspan(at, std::min(kStride, events.size() - at)));
  }
}

Status ConntrackCollector::TakeLosses(EventStream& stream, Reconciler& reconciler) {
  const auto losses = stream.TakeLosses();
  if (!losses) return losses.error();
  if (*losses == 0) return Ok();
  health_.events_lost.fetch_add(*losses, std::memory_order_relaxed);
  if (health_.synced.load(std::memory_order_relaxed)) {
    spdlog::warn("conntrack: {} events lost because the buffer was full: comparing with the kernel's table", *losses);
    loss_told_ = true;
  }
  reconciler.NoteLoss();
  return Ok();
}

template <typename Raw>
void ConntrackCollector::ApplyStride(std::span<const Raw> events) {
  // The limit may just have been raised.
  if (!tracker_.HasRoomFor(events.size())) ReadKernelSettings();
  std::array<std::uint64_t, 3> kinds{};
  std::size_t count = 0;
  for (const Raw& event : events) {
    FlowTracker::Prepared& prepared = prepared_[count];
    switch (DecodeFlow(event, prepared.event)) {
      case DecodeOutcome::kFlow:
        tracker_.Prepare(prepared);
        ++kinds[static_cast<std::size_t>(prepared.event.kind)];
        ++count;
        break;
      case DecodeOutcome::kControl: break;
      case DecodeOutcome::kUnsupported: health_.messages_unsupported.fetch_add(1, std::memory_order_relaxed); break;
      case DecodeOutcome::kMalformed: health_.messages_malformed.fetch_add(1, std::memory_order_relaxed); break;
    }
  }
  if (count > 0) {
    for (std::size_t i = 0; i < count; ++i) tracker_.Approach(prepared_[i]);
    const TrackerTime now = Now();
    TallyWriter::Batch batch(tally_);
    for (std::size_t i = 0; i < count; ++i) tracker_.Apply(batch, prepared_[i], now);
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) health_.events[i].fetch_add(kinds[i], std::memory_order_relaxed);
}

bool ConntrackCollector::Survey(Clock::time_point now, bool idle) {
  const bool reconciled = health_.reconciled.load(std::memory_order_relaxed);
  const bool answers = reconciled && answers_.Step(tracker_.flows(), Now(), now);
  const bool counting = census_.Step(tracker_.flows(), now);
  // One slice per batch of events: reading events singly meanwhile would cost more than the survey.
  const bool destinations = reconciled && destinations_.Step(tracker_.flows(), Now(), now, idle);
  return answers || counting || (destinations && idle);
}

bool ConntrackCollector::Attribute() {
  if (!tracker_.attribution_wanted()) return false;
  TallyWriter::Batch batch(tally_);
  return tracker_.AttributeStep(batch, Now());
}

bool ConntrackCollector::Wait(const EventStream& stream, const Reconciler& reconciler, GatherPace& pace) {
  const Clock::time_point now = Clock::now();
  if (!pace.idle(now) || stream.fd() < 0) return WaitForStop(pace.Pause(now));
  const Clock::duration until_due = reconciler.due() > now ? reconciler.due() - now : Clock::duration::zero();
  return WaitForStop(std::min<Clock::duration>(kHeartbeat, until_due), stream.fd());
}

bool ConntrackCollector::WaitForStop(std::chrono::nanoseconds timeout, int also_fd) {
  std::array<pollfd, 2> fds{pollfd{worker_.stop_fd(), POLLIN, 0}, pollfd{also_fd, POLLIN, 0}};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec limit{seconds.count(), (timeout - seconds).count()};
  ppoll(fds.data(), also_fd < 0 ? 1 : 2, &limit, nullptr);
  return (fds[0].revents & POLLIN) != 0;
}

void ConntrackCollector::Fail(const Error& error) {
  health_.set_failure(error.message + "; " + Advice(error));
  health_.subscribed.store(false, std::memory_order_relaxed);
  health_.synced.store(false, std::memory_order_relaxed);
  health_.heartbeat.fetch_add(1, std::memory_order_relaxed);
}

void ConntrackCollector::PublishTables() {
  if ((tracker_.TakeStatuses() & IPS_NAT_MASK) != 0) {
    health_.translations_seen.fetch_add(1, std::memory_order_relaxed);
  }
  health_.flows.store(tracker_.flow_count(), std::memory_order_relaxed);
  health_.connections_turned_away.store(tracker_.connections_turned_away(), std::memory_order_relaxed);
  health_.sources_turned_away.store(tracker_.sources_turned_away(), std::memory_order_relaxed);
  health_.refused_turned_away.store(tracker_.refused_turned_away(), std::memory_order_relaxed);
}

std::int32_t ConntrackCollector::Centiseconds(Clock::time_point when) const {
  return std::chrono::duration_cast<std::chrono::duration<std::int32_t, std::centi>>(when - started_).count();
}

TrackerTime ConntrackCollector::Now() const {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {Centiseconds(Clock::now()), std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count()};
}

}  // namespace conntally
