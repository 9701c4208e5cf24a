// Which route or rule of policy routing sends a packet nowhere on purpose, and the commands that take it away and bring
// it back. Pure; any thread.
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

// The first that holds in the order of the rules. nullopt: none does, or what is asked for could not be read.
std::optional<Refusal> FindRefusal(const HostFacts& host, const RouteQuestion& question);

}  // namespace conntally::diagnose
