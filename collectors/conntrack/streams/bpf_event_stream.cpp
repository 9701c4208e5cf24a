#include "collectors/conntrack/streams/bpf_event_stream.h"

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include "collectors/conntrack/streams/idle_listener.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/proc_files.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

// Listening makes the kernel load the modules with the functions that the program is attached to.
Status LoadModules() {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  return socket->Join(NFNLGRP_CONNTRACK_NEW);
}

Result<std::unique_ptr<AttachedEvents>> OpenOrLoad(std::uint64_t capacity_events) {
  auto pinned = AttachedEvents::OpenPinned(kEventPins);
  if (pinned) return pinned;
  auto loaded = AttachedEvents::Load(capacity_events);
  if (loaded || pinned.error().code == ENOENT) return loaded;
  return Error{pinned.error().message + "; " + loaded.error().message, loaded.error().code};
}

// Discards what an earlier consumer left in a pinned ring. One record may be unfinished for a moment.
Status Discard(RingConsumer& ring) {
  const std::uint64_t end = ring.handed_out();
  const auto deadline = std::chrono::steady_clock::now() + 1s;
  while (static_cast<std::int64_t>(end - ring.taken()) > 0) {
    if (!ring.Take(end - ring.taken()).empty()) continue;
    if (std::chrono::steady_clock::now() > deadline) return Error{"the ring of events stands still", ETIMEDOUT};
    std::this_thread::sleep_for(1ms);
  }
  return Ok();
}

}  // namespace

BpfEventStream::BpfEventStream(std::unique_ptr<AttachedEvents> events, std::optional<NetlinkSocket> listener)
    : events_(std::move(events)), listener_(std::move(listener)) {}

Result<std::unique_ptr<EventStream>> BpfEventStream::Open(std::uint64_t capacity_events) {
  if (const auto modules = LoadModules(); !modules) return modules.error();
  const auto self = IdentifyNetworkNamespace(kOwnNetworkNamespace);
  if (!self) return self.error();
  auto events = OpenOrLoad(capacity_events);
  if (!events) return events.error();
  std::optional<NetlinkSocket> listener;
  if (auto idle = OpenIdleListener()) {
    listener = std::move(*idle);
  } else if (ReadSysctl("/proc", "net/netfilter/nf_conntrack_events").value_or("2") == "2") {
    return Error{"net.netfilter.nf_conntrack_events is 2, which wants a listener by netlink: set it to 1", EINVAL};
  }
  std::unique_ptr<BpfEventStream> stream(new BpfEventStream(std::move(*events), std::move(listener)));
  if (const auto discarded = Discard(stream->events_->ring()); !discarded) return discarded.error();
  const auto losses = stream->CountLosses();
  if (!losses) return losses.error();
  stream->losses_seen_ = *losses;
  stream->events_->ring().set_namespace(static_cast<std::uint32_t>(self->inode));
  return std::unique_ptr<EventStream>(std::move(stream));
}

Result<const EventStream::Received*> BpfEventStream::Receive() {
  RingConsumer& ring = events_->ring();
  const std::uint64_t queued = ring.handed_out();
  received_.records = ring.Take(kBatch);
  received_.events = static_cast<unsigned>(received_.records.size());
  // A batch may also be short at the ring's end, and before a record that is still being written.
  received_.drained = static_cast<std::int64_t>(queued - ring.taken()) <= 0;
  return &received_;
}

Result<std::uint64_t> BpfEventStream::CountLosses() const {
  const auto missed = events_->ReadMissed();
  if (!missed) return missed.error();
  return *missed + events_->ring().turned_away();
}

Result<std::uint32_t> BpfEventStream::TakeLosses() {
  const auto losses = CountLosses();
  if (!losses) return losses.error();
  const std::uint64_t lost = *losses - std::exchange(losses_seen_, *losses);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(lost, std::numeric_limits<std::uint32_t>::max()));
}

std::uint32_t BpfEventStream::buffer_bytes() const {
  const std::uint64_t bytes = events_->capacity_events() * sizeof(conntrack_event_record);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace conntally
