#include "collectors/conntrack/streams/event_source_choice.h"

#include <spdlog/spdlog.h>

#include "collectors/conntrack/streams/bpf_event_stream.h"
#include "collectors/conntrack/streams/netlink_event_stream.h"

namespace conntally {
Result<std::unique_ptr<EventStream>> EventSourceChoice::Open() {
  if (wanted_ == WantedEventSource::kNetlink || distrusted_) return OpenNetlink();
  auto by_bpf = BpfEventStream::Open(EventsHeldBy(receive_buffer_bytes_));
  if (by_bpf) {
    Tell("events come by bpf (" + (*by_bpf)->way() + ")");
    return by_bpf;
  }
  if (wanted_ == WantedEventSource::kBpf) {
    return Error{"conntrack.event_source is bpf, which cannot be had: " + by_bpf.error().message +
                     "; conntally(8) says what it needs, and auto takes netlink instead",
                 0};
  }
  auto by_netlink = OpenNetlink();
  if (by_netlink) Tell("events come by netlink; not by bpf: " + by_bpf.error().message);
  return by_netlink;
}

Result<std::unique_ptr<EventStream>> EventSourceChoice::OpenNetlink() {
  return NetlinkEventStream::Open(receive_buffer_bytes_);
}

Result<std::unique_ptr<EventStream>> EventSourceChoice::FallBack(std::uint64_t wrong_connections) {
  auto netlink = OpenNetlink();
  if (!netlink) return netlink;
  distrusted_ = true;
  fallbacks_.fetch_add(1, std::memory_order_relaxed);
  spdlog::warn(
      "conntrack: bpf events left {} connections wrong without any loss: events now come by netlink, and "
      "the tallies are compared with the kernel's table; please report it with the kernel's version",
      wrong_connections);
  told_.clear();
  // Discards what netlink has queued by now: BPF delivered it before.
  for (;;) {
    const auto received = (*netlink)->Receive();
    if (!received) return received.error();
    if ((*received)->drained) return netlink;
  }
}

void EventSourceChoice::Tell(std::string what) {
  if (what == told_) return;
  spdlog::info("conntrack: {}", what);
  told_ = std::move(what);
}

}  // namespace conntally
