// Which rules dropped the packets of one source: heavy hitters, so that the rule that drops most has its name, however
// many others dropped a packet before it.
//
// A name is a series, so it is not given lightly, and not taken away lightly. The first kFreeMax rules have theirs at
// once. Any other is named when it has dropped more than each that is named did in all, or when it lately dropped
// kHeavy packets or more. Once kNamesMax are named, one more takes the place of the one that lately dropped least,
// which must be kTimes less, and must not be among the kMostMax that dropped most in all: so what drops now is named,
// and so is what dropped most. "Lately" is a count that fades within kFade. Rules without a name compete in a small
// Space-Saving of such counts: one with more than a kCandidatesMax-th of them is always among them, and what it may
// have from others is not held for it.
//
// Counters: a share never falls while it has its name. What was counted without a name stays so. The share that makes
// room ends, and its packets go on in those of no rule: the sum over all shares is the packets dropped, each once, at
// any time. Should the rule come back, it begins anew, as a counter does that was reset. `forgotten` tells how many
// packets moved so: they make the packets of no rule rise, and were not dropped then.
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

  // Counts packets. Returns how many packets are of no rule now, though one is known: these, or those of the share that
  // made room.
  std::uint64_t Add(DropVia via, RuleName rule, std::uint64_t packets, Time now);

  template <typename Visitor>  // void(RuleName, DropVia, std::uint64_t packets); those of no rule last
  void ForEach(Visitor&& visit) const {
    for (const Named& share : named_) visit(share.rule, share.via, share.packets);
    for (std::size_t via = 0; via < kDropVias; ++via) {
      if (unnamed_[via] != 0) visit(RuleName{0}, static_cast<DropVia>(via), unnamed_[via]);
    }
  }
  // Of the packets of no rule, those that had a name before.
  std::uint64_t forgotten() const { return forgotten_; }

  void Mark(RuleNames::Names& in_use) const;
  // These names are not known any more. Returns how many packets lost theirs.
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
    float error = 0;  // how much of it is that of others
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
