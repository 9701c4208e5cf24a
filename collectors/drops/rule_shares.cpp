#include "collectors/drops/rule_shares.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace conntally {

std::uint64_t RuleShares::Add(DropVia via, RuleName rule, std::uint64_t packets, Time now) {
  std::uint64_t& unnamed = unnamed_[static_cast<std::size_t>(via)];
  if (rule == 0) {
    unnamed += packets;
    return 0;
  }
  Fade(now);
  const auto named = std::find_if(named_.begin(), named_.end(),
                                  [&](const Named& share) { return share.rule == rule && share.via == via; });
  if (named != named_.end()) {
    named->packets += packets;
    named->lately += static_cast<float>(packets);
    return 0;
  }
  if (named_.size() < kFreeMax) {
    named_.push_back({rule, via, static_cast<float>(packets), packets});
    return 0;
  }
  Candidate& candidate = CandidateOf(via, rule);
  candidate.packets += packets;
  candidate.lately += static_cast<float>(packets);
  if (!Deserves(candidate)) {
    unnamed += packets;
    return packets;
  }
  std::uint64_t displaced = 0;
  if (named_.size() == kNamesMax) {
    const auto least = Least();
    displaced = Unname(*least);
    named_.erase(least);
  }
  named_.push_back({rule, via, candidate.lately - candidate.error, packets});
  std::swap(candidate, candidates_.back());
  candidates_.pop_back();
  return displaced;
}

void RuleShares::Fade(Time now) {
  const auto factor = static_cast<float>(std::exp(-std::chrono::duration<double>(now - faded_) / kFade));
  faded_ = now;
  for (Named& share : named_) share.lately *= factor;
  for (Candidate& candidate : candidates_) {
    candidate.lately *= factor;
    candidate.error *= factor;
  }
}

// As in Space-Saving, a newcomer takes over the smallest count.
RuleShares::Candidate& RuleShares::CandidateOf(DropVia via, RuleName rule) {
  const auto known = std::find_if(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
    return candidate.rule == rule && candidate.via == via;
  });
  if (known != candidates_.end()) return *known;
  if (candidates_.size() < kCandidatesMax) return candidates_.emplace_back(Candidate{.rule = rule, .via = via});
  const auto least = std::min_element(candidates_.begin(), candidates_.end(),
                                      [](const Candidate& a, const Candidate& b) { return a.lately < b.lately; });
  *least = {.rule = rule, .via = via, .lately = least->lately, .error = least->lately};
  return *least;
}

bool RuleShares::Deserves(const Candidate& candidate) {
  const auto drops_less = [&](const Named& share) { return share.packets < candidate.packets; };
  if (std::all_of(named_.begin(), named_.end(), drops_less)) return true;
  const float lately = candidate.lately - candidate.error;
  if (lately < kHeavy) return false;
  return named_.size() < kNamesMax || lately > kTimes * Least()->lately;
}

// The least of those that may make room.
std::vector<RuleShares::Named>::iterator RuleShares::Least() {
  const auto rest = named_.begin() + kMostMax;
  std::nth_element(named_.begin(), rest, named_.end(),
                   [](const Named& a, const Named& b) { return a.packets > b.packets; });
  return std::min_element(rest, named_.end(), [](const Named& a, const Named& b) { return a.lately < b.lately; });
}

std::uint64_t RuleShares::Unname(const Named& share) {
  unnamed_[static_cast<std::size_t>(share.via)] += share.packets;
  forgotten_ += share.packets;
  return share.packets;
}

void RuleShares::Mark(RuleNames::Names& in_use) const {
  for (const Named& share : named_) in_use[share.rule] = true;
  for (const Candidate& candidate : candidates_) in_use[candidate.rule] = true;
}

std::uint64_t RuleShares::Forget(const RuleNames::Names& names) {
  std::uint64_t lost = 0;
  std::erase_if(named_, [&](const Named& share) {
    if (!names[share.rule]) return false;
    lost += Unname(share);
    return true;
  });
  std::erase_if(candidates_, [&](const Candidate& candidate) { return names[candidate.rule]; });
  return lost;
}

}  // namespace conntally
