// Whether a way by which events come is to be trusted: each comparison with the kernel's table is a proof of it. Where
// no event was lost that is known of, a comparison finds nothing that events should have told. Connections that are
// older than the subscription may end untold, and prove nothing; so do the moments before the first comparison has
// ended, losses and what they leave behind, and times without events.
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
    std::uint64_t events_lost = 0;  // likewise
    std::uint64_t connections = 0;  // there are now
    bool events_off = false;
  };

  // To be told each comparison that has ended. How many connections it set right beyond what an honest way leaves: an
  // event may be on its way from one CPU while another one's dump already shows what it tells of. 0: nothing to say.
  std::uint64_t Doubts(const Comparison& now) {
    const std::uint64_t untold = now.corrections.missed + now.corrections.stale_told_of;
    const std::uint64_t wrong = untold - untold_;
    const bool calm = now.events_lost == events_lost_ && !now.events_off;
    untold_ = untold;
    events_lost_ = now.events_lost;
    calm_comparisons_ = calm ? calm_comparisons_ + 1 : 0;
    // Of the first calm one, what was before it is unknown.
    if (calm_comparisons_ < kCalmMin) return 0;
    return wrong > kAllowed + now.connections / kConnectionsPerAllowed ? wrong : 0;
  }

 private:
  static constexpr std::uint64_t kCalmMin = 3;  // the first sets the figures, the second may mend what was before
  static constexpr std::uint64_t kAllowed = 4;
  static constexpr std::uint64_t kConnectionsPerAllowed = 20'000;

  std::uint64_t untold_ = 0;
  std::uint64_t events_lost_ = 0;
  std::uint64_t calm_comparisons_ = 0;
};

}  // namespace conntally
