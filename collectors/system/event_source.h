// Where conntrack events come from, and the configuration's choice, each with its words. Pure; any thread.
#pragma once

namespace conntally {

enum class EventSource { kNetlink, kBpf };

constexpr const char* WordOf(EventSource source) { return source == EventSource::kBpf ? "bpf" : "netlink"; }

enum class WantedEventSource {
  kAuto,  // BPF if it attaches, else netlink
  kNetlink,
  kBpf,
};

}  // namespace conntally
