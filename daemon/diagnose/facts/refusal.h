// The route or policy-routing rule that discards a packet on purpose (blackhole, unreachable, prohibit), and the
// commands that let through what was asked about, and undo it: remove it if it only covers that; else pass over it, if
// that is possible. Pure; any thread.
#pragma once

#include <optional>
#include <string>

#include "collectors/host/network_reader.h"
#include "collectors/host/routing_policy.h"
#include "daemon/diagnose/facts/host_facts.h"

namespace conntally::diagnose {

struct Refusal {
  std::string what;    // "route blackhole 192.0.2.0/24 table 100"
  std::string remove;  // "ip route del blackhole 192.0.2.0/24 table 100"
  std::string pass;    // "ip route add throw 192.0.2.7/32 table 100"; empty: there is none
  std::string undo;    // of `pass`
};

// The first that applies, in the order of the rules. nullopt: none applies, or routes or rules could not be read.
std::optional<Refusal> FindRefusal(const HostFacts& host, const RouteQuestion& question);

}  // namespace conntally::diagnose
