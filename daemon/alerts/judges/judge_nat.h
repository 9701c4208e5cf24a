// Ports of translated addresses: NatPortsNearlyExhausted, of each address towards each destination, and whether failed
// insertions are due to ports that ran out. Threads: one owner.
#pragma once

#include <string>

#include "collectors/nat/nat_figures.h"
#include "daemon/alerts/evidence/judge.h"

namespace conntally {

class NatJudge {
 public:
  static void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  // Whether some use has no port left that a new connection could have.
  static bool AnyExhausted(const NatFigures& figures);
  // "203.0.113.1 to 198.51.100.7:443 (tcp)".
  static std::string NameOf(const PortUse& use);
};

}  // namespace conntally
