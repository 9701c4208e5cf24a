// What was seen on the wire, held against the rules.
#include <algorithm>

#include "daemon/diagnose/rules/rule_findings.h"
#include "daemon/diagnose/rules/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

bool AllIsAccepted(const RuleCase& rules, const std::vector<WatchedFlow>& flows) {
  return rules.SeenToFail().empty() && std::any_of(flows.begin(), flows.end(), [](const WatchedFlow& flow) {
           return flow.answer == WatchedFlow::Answer::kAccepted;
         });
}

// A rule that was not understood stands before what would stop the packet, and has taken packets: most likely such
// ones.
bool MostLikelyTakenBefore(const RuleCase& rules, const Walk& walk) {
  return std::any_of(walk.unevaluated.begin(), walk.unevaluated.end(), [&](const Unevaluated& open) {
    const Verdict verdict = rules.walker.rule(open.rule).verdict;
    return verdict != Verdict::kDrop && verdict != Verdict::kReject && rules.Packets(open.rule).value_or(0) > 0;
  });
}

// It was on its way to a port of this host that nobody listens on: that it is stopped is nobody's trouble.
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
  const WatchedPackets* const watched = rules.inputs.watched;
  return watched != nullptr && !watched->flows.empty() ? AllIsAccepted(rules, watched->flows)
                                                       : MostLikelyTakenBefore(rules, walk);
}

void CheckWatchedTraffic(const RuleCase& rules, Report& report) {
  for (const AskedPacket& seen : rules.SeenToFail()) {
    const Walk walk = rules.Through(seen);
    if (!rules.narrowed() && NobodyListens(rules, seen.packet, walk)) continue;
    if (const Decision* stop = walk.stop()) AddStopped(rules, walk, *stop, seen, 0.9, report);
  }
}

}  // namespace conntally::diagnose
