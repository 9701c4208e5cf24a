// The route or policy-routing rule that discards a packet on purpose (blackhole, unreachable, prohibit), and the
// commands that remove and restore it. Pure; any thread.
#pragma once

#include <optional>
#include <string>

#include "collectors/host/network_reader.h"
#include "collectors/host/routing_policy.h"
#include "daemon/diagnose/facts/host_facts.h"

namespace conntally::diagnose {

struct Refusal {
  std::string what;    // "route blackhole 192.0.2.0/24 of table 100"
  std::string remove;  // "ip route del blackhole 192.0.2.0/24 table 100"
  std::string restore;
};

// The first that applies, in the order of the rules. nullopt: none applies, or routes or rules could not be read.
std::optional<Refusal> FindRefusal(const HostFacts& host, const RouteQuestion& question);

}  // namespace conntally::diagnose
