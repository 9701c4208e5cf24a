// The collector's event source: opens it, checks it, changes it; and reads the kernel's settings that affect it.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "collectors/conntrack/conntrack_collector.h"
#include "collectors/conntrack/reconciler.h"
#include "collectors/system/proc_files.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLimitUntold = 4'194'304;  // if nf_conntrack_max cannot be read
// A source other than netlink is checked often at first.
constexpr auto kProofInterval = 10s;
constexpr unsigned kEarlyProofs = 6;

}  // namespace

Result<std::unique_ptr<EventStream>> ConntrackCollector::OpenStream() {
  auto stream = source_.Open();
  if (stream) TakeUp(**stream);
  return stream;
}

// Publishes the stream's figures.
void ConntrackCollector::TakeUp(const EventStream& stream) {
  proof_ = {};
  proofs_ = 0;
  tracker_.set_events_since(Now());
  const std::uint32_t granted = stream.buffer_bytes();
  health_.event_source.store(stream.source(), std::memory_order_relaxed);
  health_.receive_buffer_bytes.store(granted, std::memory_order_relaxed);
  if (stream.source() != EventSource::kNetlink || buffer_told_ == granted) return;
  buffer_told_ = granted;
  if (granted / 2 >= options_.receive_buffer_bytes) return;
  spdlog::warn(
      "conntrack: asked for a receive buffer of {} bytes, granted {}: raise net.core.rmem_max, or grant "
      "CAP_NET_ADMIN in the initial user namespace",
      options_.receive_buffer_bytes, granted / 2);
}

std::chrono::milliseconds ConntrackCollector::ComparisonInterval(const EventStream& stream) const {
  const std::chrono::milliseconds interval(reconcile_interval_ms_.load(std::memory_order_relaxed));
  const bool early = stream.source() != EventSource::kNetlink && proofs_ < kEarlyProofs;
  return early ? std::min<std::chrono::milliseconds>(interval, kProofInterval) : interval;
}

// After each comparison: whether the stream is still to be trusted. If not, netlink's takes its place. What the old one
// had queued by the time at which the new one was there is applied before, so that nothing is lost between them; a
// connection that opened and ended in just that moment may count twice as opened and closed.
Status ConntrackCollector::Prove(std::unique_ptr<EventStream>& stream, Reconciler& reconciler) {
  if (stream->source() == EventSource::kNetlink || reconciler.comparisons() == proved_at_) return Ok();
  proved_at_ = reconciler.comparisons();
  ++proofs_;
  const std::uint64_t doubts = proof_.Doubts({.corrections = tracker_.corrections(),
                                              .events_lost = health_.events_lost.load(std::memory_order_relaxed),
                                              .connections = tracker_.flow_count(),
                                              .events_off = health_.events_off.load(std::memory_order_relaxed)});
  if (doubts == 0) return Ok();
  auto netlink = source_.FallBack(doubts);
  if (!netlink) return netlink.error();
  for (bool drained = false; !drained;) {
    const auto received = stream->Receive();
    if (!received) return received.error();
    ApplyEvents(**received);
    drained = (*received)->drained;
  }
  stream = std::move(*netlink);
  TakeUp(*stream);
  reconciler.NoteLoss();
  return Ok();
}

void ConntrackCollector::NoteComparison(const Reconciler& reconciler) {
  if (reconciler.comparisons() == noted_at_) return;
  noted_at_ = reconciler.comparisons();
  constexpr std::uint64_t kDefault = 30;  // seconds; nf_conntrack_proto_udp.c
  const std::uint64_t timeout = ReadSysctlNumber("/proc", "net/netfilter/nf_conntrack_udp_timeout").value_or(kDefault);
  answers_.NoteCompared(Centiseconds(reconciler.began()), static_cast<double>(timeout));
}

// nf_conntrack_max and nf_conntrack_events may change at any time.
void ConntrackCollector::ReadKernelSettings() {
  health_.memory_bytes.store(tracker_.memory_bytes(), std::memory_order_relaxed);
  if (options_.connections_max == 0) {
    // A little above the kernel's limit: ours lags some events behind. 0 is no limit.
    const std::size_t limit = ReadSysctlNumber("/proc", "net/netfilter/nf_conntrack_max").value_or(kLimitUntold);
    tracker_.set_connections_max(limit == 0 ? SIZE_MAX : limit + limit / 8 + 4096);
  }
  const std::string events = ReadSysctl("/proc", "net/netfilter/nf_conntrack_events").value_or("");
  if (events == events_sysctl_) return;
  events_sysctl_ = events;
  health_.events_off.store(events == "0", std::memory_order_relaxed);
  if (events == "0") {
    spdlog::warn(
        "conntrack: net.netfilter.nf_conntrack_events is 0: the kernel sends no events, so the tallies are only as "
        "fresh "
        "as the last comparison with its table; set it to 1");
  } else if (events == "2") {
    spdlog::info(
        "conntrack: net.netfilter.nf_conntrack_events is 2: the kernel sends no event when an entry older than the "
        "daemon ends, so such entries leave the tallies up to one reconcile_interval late; set it to 1 before the "
        "network comes up");
  }
}

}  // namespace conntally
