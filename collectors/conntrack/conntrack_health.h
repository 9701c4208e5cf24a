// The conntrack collector's own figures: its state, its losses and corrections. Each is an atomic, written by the
// collector's thread and read by any, with relaxed order: they need not be from one moment.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "collectors/system/event_source.h"
#include "collectors/system/threads/guarded.h"

namespace conntally {

struct ConntrackHealth {
  std::atomic<bool> subscribed{false};  // the collector works
  std::atomic<bool> reconciled{false};  // the first dump is reconciled
  std::atomic<bool> synced{false};      // every known loss has been repaired by a dump
  std::atomic<bool> events_off{false};  // by nf_conntrack_events: only dumps update the tallies
  std::atomic<EventSource> event_source{EventSource::kNetlink};
  std::atomic<std::uint32_t> receive_buffer_bytes{0};  // granted

  std::array<std::atomic<std::uint64_t>, 3> events{};  // by EventKind
  std::atomic<std::uint64_t> events_lost{0};           // because the receive buffer was full
  std::atomic<std::uint64_t> messages_malformed{0};    // skipped
  std::atomic<std::uint64_t> messages_unsupported{0};  // skipped: neither IPv4 nor IPv6

  std::array<std::atomic<std::uint64_t>, 3> reconciles{};  // by DumpReason
  std::atomic<std::uint64_t> corrections_missed{0};
  std::atomic<std::uint64_t> corrections_stale{0};
  std::atomic<std::int64_t> last_reconcile_wall_ms{0};
  std::atomic<std::int64_t> last_reconcile_duration_us{0};

  // Rises while events or comparisons show entries with source or destination NAT.
  std::atomic<std::uint64_t> translations_seen{0};

  std::atomic<std::uint64_t> flows{0};         // in the FlowTable
  std::atomic<std::uint64_t> memory_bytes{0};  // of the collector's tables
  std::atomic<std::uint64_t> connections_turned_away{0};
  std::atomic<std::uint64_t> sources_turned_away{0};
  std::atomic<std::uint64_t> refused_turned_away{0};

  // Rises with each turn of the collector's loop, at least once a second while it works.
  std::atomic<std::uint64_t> heartbeat{0};

  // Why the collector does not work, and what to do; empty while it does.
  std::string failure() const { return failure_.Copy(); }
  void set_failure(std::string text) { *failure_.Lock() = std::move(text); }

 private:
  Guarded<std::string> failure_;
};

}  // namespace conntally
