// Reads /proc: settings, network counters, uptime. Every path is below a root that tests replace. Any thread; for the
// calling thread's network namespace.
//
// Sources: proc(5); net/ipv4/proc.c.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

// The first line of PROC/sys/PATH. nullopt: not readable.
std::optional<std::string> ReadSysctl(const std::string& proc, const std::string& path);

// The same as a number. nullopt also if it does not begin with one, or is negative.
std::optional<std::uint64_t> ReadSysctlNumber(const std::string& proc, const std::string& path);

// All files in PROC/sys/FOLDER whose name begins with `prefix`, by path under /proc/sys; not recursive.
void ReadSysctls(const std::string& proc, const std::string& folder, const std::string& prefix,
                 std::map<std::string, std::string>& values);

// "TcpExt.ListenDrops" of net/netstat, "Ip.ForwDatagrams" of net/snmp, "Ip6InNoRoutes" of net/snmp6.
Result<std::map<std::string, std::uint64_t>> ReadNetworkCounters(const std::string& proc);

std::optional<std::chrono::seconds> ReadUptime(const std::string& proc);

}  // namespace conntally
