// Judges the ports of translated addresses: NatPortsNearlyExhausted, for each address towards each destination, and
// whether exhausted ports explain failed insertions. Threads: one owner.
#pragma once

#include <string>

#include "collectors/nat/nat_figures.h"
#include "daemon/alerts/evidence/judge.h"

namespace conntally {

class NatJudge {
 public:
  static void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  // Whether some pair has no port left for a new connection.
  static bool AnyExhausted(const NatFigures& figures);
  // "203.0.113.1 to 198.51.100.7:443 (tcp)".
  static std::string NameOf(const PortUse& use);
};

}  // namespace conntally
