// Compares traffic seen on the wire with the rules.
#include <algorithm>

#include "daemon/diagnose/rules/stopped/stop_findings.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

bool AllIsAccepted(const RuleCase& rules, const WatchedPackets& watched) {
  return rules.SeenToFail().empty() && std::any_of(watched.flows.begin(), watched.flows.end(),
                                                   [&](const WatchedFlow& flow) { return watched.IsAccepted(flow); });
}

bool SawAttempts(const RuleCase& rules) {
  return rules.inputs.watched != nullptr && !rules.inputs.watched->flows.empty();
}

// Packets taken by rules that are not understood, stop nothing, and come before the rule that would stop the packet.
struct TakenBefore {
  bool uncounted = false;     // one of them has no counter
  std::uint64_t packets = 0;  // of the busiest
};
TakenBefore TakenBeforeOf(const RuleCase& rules, const Walk& walk) {
  TakenBefore taken;
  for (const Unevaluated& open : walk.unevaluated) {
    const Verdict verdict = rules.walker.rule(open.rule).verdict;
    if (verdict == Verdict::kDrop || verdict == Verdict::kReject) continue;
    const auto packets = rules.Packets(open.rule);
    taken.uncounted = taken.uncounted || !packets;
    taken.packets = std::max(taken.packets, packets.value_or(0));
  }
  return taken;
}

// It was for a port of this host without a listener: stopping it harms nobody.
bool NobodyListens(const RuleCase& rules, const Packet& packet, const Walk& walk) {
  const auto& listeners = rules.inputs.host.listeners;
  if (packet.destination_is_local != true || walk.destination_nat || !listeners || !packet.destination_port)
    return false;
  return std::none_of(listeners->begin(), listeners->end(), [&](const ListeningSocket& socket) {
    return socket.protocol == packet.protocol && packet.destination_port->Contains(socket.port);
  });
}

}  // namespace

bool MostLikelyPasses(const RuleCase& rules, const Walk& walk) {
  return SawAttempts(rules) ? AllIsAccepted(rules, *rules.inputs.watched)
                            : TakenBeforeOf(rules, walk).packets > 0;  // most likely packets like this one
}

bool MayPassUncounted(const RuleCase& rules, const Walk& walk) {
  return !SawAttempts(rules) && TakenBeforeOf(rules, walk).uncounted;
}

void CheckWatchedTraffic(const RuleCase& rules, Report& report) {
  for (const AskedPacket& seen : rules.SeenToFail()) {
    const Walk walk = rules.Through(seen);
    if (!rules.narrowed() && NobodyListens(rules, seen.packet, walk)) continue;
    if (const Decision* stop = walk.stop()) AddStopped(rules, walk, *stop, seen, 0.9, report);
  }
}

}  // namespace conntally::diagnose
