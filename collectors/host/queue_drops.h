// Packets dropped by traffic control's queueing disciplines, also by filters at a link's ingress. By rtnetlink; needs
// no privilege. Reads the calling thread's network namespace.
//
// Sources: linux/gen_stats.h; net/sched/sch_api.c (tc_fill_qdisc), sch_ingress.c.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace conntally {

// Adds "Queue.LINK.ingress" and "Queue.LINK.root" for each link that has them. Omits what cannot be read.
void ReadQueueDrops(std::map<std::string, std::uint64_t>& counters);

}  // namespace conntally
