#include "daemon/observation/snapshot/trust_verdict.h"

namespace conntally {

std::string TrustVerdict(const Trust& trust, const CollectorStatuses& collectors) {
  const auto conntrack = collectors.find("conntrack");
  if (conntrack != collectors.end() && conntrack->second.failing()) {
    return (trust.ready ? "Not now: the tallies are no longer followed up. conntrack fails: "
                        : "Not yet: the kernel's table could not be read. conntrack fails: ") +
           conntrack->second.failure + ".";
  }
  if (!trust.ready) return "Not yet: the kernel's table is being read for the first time.";
  if (trust.events_off) {
    return "Not now: net.netfilter.nf_conntrack_events is 0, so the tallies are as old as the last comparison with the "
           "kernel's table.";
  }
  return trust.synced ? "Yes: the tallies are as the kernel's table."
                      : "Not now: events were lost, and the tallies are being compared with the kernel's table.";
}

std::string FailingCollectors(const CollectorStatuses& collectors) {
  std::string text;
  for (const auto& [name, status] : collectors) {
    if (status.failing()) text += (text.empty() ? "" : "; ") + name + " fails: " + status.failure;
  }
  return text;
}

}  // namespace conntally
