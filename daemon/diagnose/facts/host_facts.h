// What there is to know about this host and the traffic that was asked about, but for its rules: gathered once, by
// reading only. What could not be seen says why (Result). Plain values once gathered; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collectors/conntrack/dumps/connection_list.h"
#include "collectors/host/network.h"
#include "collectors/host/routing_policy.h"
#include "collectors/system/result.h"
#include "collectors/system/saved_sysctls.h"
#include "collectors/table/table_reader.h"
#include "daemon/command_line/grammar/question.h"

namespace conntally::diagnose {

// Files' values by their path under /proc/sys: "net/ipv4/ip_forward", "net/ipv4/conf/eth0.7/rp_filter". Absent: there
// is no such file.
using Sysctls = std::map<std::string, std::string>;
std::optional<std::int64_t> NumberOf(const Sysctls& sysctls, const std::string& path);

// /proc/net/snmp and netstat, of IPv4 and TCP: "TcpExt.ListenDrops", "Ip.InAddrErrors". And snmp6's "Ip6InNoRoutes".
using NetworkCounters = std::map<std::string, std::uint64_t>;

// What the kernel does with the traffic that was asked about. Where the question leaves out what is needed, the members
// are absent.
struct AskedRoutes {
  // Back to the source, as this host would send to it; what a strict reverse path filter goes by. Needs a source.
  std::optional<Result<Route>> to_source;
  // By which link a packet of the source is taken to arrive: the way back to it; for a source of our own or none that
  // is known, 0.
  std::uint32_t in_link = 0;
  // To the destination, for a packet that arrives by in_link (or that this host sends itself, when there is none).
  // Needs a destination.
  std::optional<Result<Route>> to_destination;
  // Both are neighbours of one link of this host's: their packets pass by it, if at all by a bridge.
  bool same_network = false;
  bool bridged = false;
  bool source_is_local = false;      // this host itself is the one that connects
  bool destination_is_local = true;  // also when none was asked: this host
};

// The kernel's log since it began, as far as it goes back.
struct KernelLogFacts {
  struct Line {
    std::chrono::microseconds since_boot{0};
    std::string text;
  };
  std::uint64_t table_full_lines = 0;  // of this namespace, or of one that the line does not name
  bool table_full_names_us = false;    // they are of this one: the kernel's lines say so
  std::vector<Line> table_full;        // the first and the last of them
  std::vector<Line> martian_sources;   // the last few: "martian source 10.0.0.1 from 192.0.2.1, on dev eth0"
  std::vector<Line> syn_floods;        // the last few: "Possible SYN flooding on port ..."
  std::uint64_t lost = 0;
};

// A queue that a program listens at (NFQUEUE), by /proc/net/netfilter/nfnetlink_queue.
struct ProgramQueue {
  std::uint64_t waiting = 0;  // packets that have no verdict
  std::uint64_t queued = 0;   // since the program came
};
using ProgramQueues = std::map<std::uint32_t, ProgramQueue>;

// Everything that counts, read at one moment.
struct Reading {
  std::chrono::steady_clock::time_point when;
  Result<TableStatistics> table = Error{"not read"};
  Result<NetworkCounters> network = Error{"not read"};
  std::optional<ProgramQueues> queues = {};  // absent: not known
};

struct HostFacts {
  // What may be done here: CAP_NET_ADMIN for conntrack and rules, CAP_NET_RAW for --observe, CAP_SYSLOG for the
  // kernel's log.
  bool can_administer_network = false;
  bool can_watch_packets = false;
  bool in_first_namespace = true;  // of process 1, for which sysctl.d speaks
  bool entered = false;            // by --netns: what runs on the host around it is not this namespace's
  std::uint64_t namespace_id = 0;  // the inode, as the kernel's log names it; 0: not known

  Result<std::vector<Link>> links = Error{"not read"};
  Result<std::vector<LocalAddress>> addresses = Error{"not read"};
  Result<RoutingPolicy> routing = Error{"not read"};
  Result<std::vector<Neighbour>> neighbours = Error{"not read"};  // after the observation
  AskedRoutes routes;
  Sysctls sysctls;
  Result<std::vector<SavedSysctl>> saved_sysctls = Error{"not read"};
  Result<std::vector<ListeningSocket>> listeners = Error{"not read"};
  Result<ConnectionList> connections = Error{"not read"};
  Reading first;  // before watching
  Reading last;   // after it
  Result<KernelLogFacts> kernel_log = Error{"not read"};
  std::optional<std::uint64_t> established_sockets;  // TCP connections of this host's own with others
  std::chrono::seconds uptime{0};

  // How long the kernel's counters of this namespace have counted, at least 1. They begin with their namespace: for one
  // that is not the first, whose age nothing tells, 1.
  double HoursCounted() const;
  const Link* LinkOf(std::uint32_t index) const;  // nullptr: unknown
  const Link* LinkOf(const std::string& name) const;
  const Neighbour* NeighbourOf(const IpAddress& address) const;  // nullptr: nobody asked for it
  bool IsLocal(const IpAddress& address) const;                  // one of this host's addresses, or of 127.0.0.0/8
  // Packets wait at the queue, and its program decided on none between the readings.
  bool Hangs(std::uint32_t queue) const;
};

// More are left out, and counted.
inline constexpr std::size_t kConnectionsMax = 4'000'000;

// Where the files are: tests give other roots.
struct FileRoots {
  std::string proc = "/proc";
  std::string etc = "";  // before /etc/sysctl.d, /run/sysctl.d, /usr/lib/sysctl.d ...
  std::string kernel_log = "/dev/kmsg";
};

// In the calling thread's network namespace. Fills all but `last`, for which the caller lets time pass and calls
// ReadCounters.
HostFacts GatherHostFacts(const Question& question, const FileRoots& roots);
Reading ReadCounters(const FileRoots& roots);

}  // namespace conntally::diagnose
