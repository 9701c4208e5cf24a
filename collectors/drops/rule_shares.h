// Which rules dropped the packets of one source: heavy hitters, so that the rule that drops most is named, however many
// others dropped a packet before.
//
// A name is a series, so names are neither given nor removed lightly. The first kFreeMax rules are named at once.
// Another rule is named when it has dropped more in all than each named one, or at least kHeavy packets recently. Once
// kNamesMax are named, a new one replaces the one that dropped least recently, which must be kTimes less and not among
// the kMostMax that dropped most in all. So the rules that drop now are named, and so are those that dropped most.
// "Recently" is a count that decays within kFade. Rules without a name compete in a small Space-Saving of such counts:
// a rule with more than a kCandidatesMax-th of the total is always in it, and the error that it inherits does not count
// for it.
//
// Counters: a share never decreases while it has its name. Packets counted without a name stay unnamed. A share that
// makes room ends, and its packets move to those without a rule, so the sum over all shares always has each dropped
// packet once. If the rule comes back, it starts again, like a counter after a reset. `forgotten` is how many packets
// moved: they raise the packets without a rule, but were not dropped then.
//
// Not thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectors/drops/drop_event.h"
#include "collectors/drops/rule_names.h"

namespace conntally {

class RuleShares {
 public:
  static constexpr std::size_t kFreeMax = 8;
  static constexpr std::size_t kNamesMax = 24;
  static constexpr std::size_t kMostMax = 8;
  static constexpr std::size_t kCandidatesMax = 8;
  static constexpr float kHeavy = 10;
  static constexpr float kTimes = 2;
  static constexpr std::chrono::seconds kFade{60};

  using Time = std::chrono::steady_clock::time_point;

  // Counts packets. Returns how many packets now count without a rule although theirs is known: these, or those of the
  // share that made room.
  std::uint64_t Add(DropVia via, RuleName rule, std::uint64_t packets, Time now);

  template <typename Visitor>  // void(RuleName, DropVia, std::uint64_t packets); packets without a rule last
  void ForEach(Visitor&& visit) const {
    for (const Named& share : named_) visit(share.rule, share.via, share.packets);
    for (std::size_t via = 0; via < kDropVias; ++via) {
      if (unnamed_[via] != 0) visit(RuleName{0}, static_cast<DropVia>(via), unnamed_[via]);
    }
  }
  // Of the packets without a rule, those that had a name before.
  std::uint64_t forgotten() const { return forgotten_; }

  void Mark(RuleNames::Names& in_use) const;
  // Drops forgotten names. Returns how many packets lost their name.
  std::uint64_t Forget(const RuleNames::Names& names);

 private:
  struct Named {
    RuleName rule = 0;
    DropVia via = DropVia::kEbpf;
    float lately = 0;
    std::uint64_t packets = 0;
  };
  struct Candidate {
    RuleName rule = 0;
    DropVia via = DropVia::kEbpf;
    float lately = 0;
    float error = 0;  // how much of the count may be other rules'
    std::uint64_t packets = 0;
  };

  void Fade(Time now);
  Candidate& CandidateOf(DropVia via, RuleName rule);
  bool Deserves(const Candidate& candidate);
  std::vector<Named>::iterator Least();
  std::uint64_t Unname(const Named& share);

  std::vector<Named> named_;
  std::vector<Candidate> candidates_;
  std::array<std::uint64_t, kDropVias> unnamed_{};
  std::uint64_t forgotten_ = 0;
  Time faded_{};
};

}  // namespace conntally
