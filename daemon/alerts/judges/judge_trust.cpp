#include "daemon/alerts/judges/judge_trust.h"

namespace conntally {

// Lost events are reported at once; faults that may pass by themselves, only if they last a while.
void TrustJudge::Read(const AlertEvidence& evidence, Readings& into) {
  std::map<std::string, std::string> wrong;
  if (!evidence.ready) {
    wrong["ready"] = "the kernel's table has not been read yet";
  } else if (!evidence.synced) {
    wrong["synced"] = "the tallies are known to be stale";
  }
  for (const auto& [name, failure] : evidence.failing) wrong[name] = "the collector " + name + " fails: " + failure;
  std::erase_if(wrong_since_, [&](const auto& entry) { return !wrong.contains(entry.first); });
  std::string reasons;
  int count = 0;
  const auto tell = [&](const std::string& reason) { reasons += (count++ == 0 ? "" : "; ") + reason; };
  for (const auto& [what, reason] : wrong) {
    const SteadyTime since = wrong_since_.try_emplace(what, evidence.now).first->second;
    if (evidence.now - since >= AlertRules::kDegradedFor) tell(reason);
  }
  events_lost_.Add(evidence.now, evidence.events_lost);
  if (const std::uint64_t lost = events_lost_.sum(); lost > 0) {
    tell(fmt::format("{} events were lost in the last {} s because the receive buffer was full", lost,
                     AlertRules::kLossWindow.count()));
  }
  if (count > 0)
    into.push_back(
        {{AlertKind::kConntallyDegraded, {}, {}}, static_cast<double>(count), reasons + ".", {{"reasons", reasons}}});
}

}  // namespace conntally
