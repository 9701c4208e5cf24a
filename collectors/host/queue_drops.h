// What queueing disciplines of traffic control have dropped, those of filters at a link's ingress among them. By
// rtnetlink; needs no privilege. Reads the calling thread's network namespace.
//
// Sources: linux/gen_stats.h; net/sched/sch_api.c (tc_fill_qdisc), sch_ingress.c.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace conntally {

// Adds "Queue.LINK.ingress" and "Queue.LINK.root" for each link that has such. What cannot be read is left out.
void ReadQueueDrops(std::map<std::string, std::uint64_t>& counters);

}  // namespace conntally
