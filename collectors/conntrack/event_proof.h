// Whether a source of events can be trusted: each comparison with the kernel's table tests it. If no event is known to
// be lost, a comparison must not find changes that events should have reported. Nothing follows from connections older
// than the subscription, which may end without an event, from the time before the first comparison has ended, from
// losses and their repair, and from times without events.
//
// Pure. Threads: one owner.
#pragma once

#include <cstdint>

#include "collectors/conntrack/flows/flow_tracker.h"

namespace conntally {

class EventProof {
 public:
  struct Comparison {
    DumpCorrections corrections;    // since the start of the daemon
    std::uint64_t events_lost = 0;  // since the start of the daemon
    std::uint64_t connections = 0;  // present number
    bool events_off = false;
  };

  // Call it after each comparison. Returns how many connections it corrected beyond what a working source leaves: an
  // event may still be on its way from one CPU while the dump on another already shows the change. 0: no doubt.
  std::uint64_t Doubts(const Comparison& now) {
    const std::uint64_t untold = now.corrections.missed + now.corrections.stale_told_of;
    const std::uint64_t wrong = untold - untold_;
    const bool calm = now.events_lost == events_lost_ && !now.events_off;
    untold_ = untold;
    events_lost_ = now.events_lost;
    calm_comparisons_ = calm ? calm_comparisons_ + 1 : 0;
    // The first calm one may correct changes from before.
    if (calm_comparisons_ < kCalmMin) return 0;
    return wrong > kAllowed + now.connections / kConnectionsPerAllowed ? wrong : 0;
  }

 private:
  static constexpr std::uint64_t kCalmMin = 3;  // the first sets the figures, the second may correct earlier changes
  static constexpr std::uint64_t kAllowed = 4;
  static constexpr std::uint64_t kConnectionsPerAllowed = 20'000;

  std::uint64_t untold_ = 0;
  std::uint64_t events_lost_ = 0;
  std::uint64_t calm_comparisons_ = 0;
};

}  // namespace conntally
