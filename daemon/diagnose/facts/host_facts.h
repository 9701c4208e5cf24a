// The facts about this host and the traffic in question, without the rules: gathered once, by reading only. A fact that
// could not be read has the reason (Result). Plain values once gathered; any thread.
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

// Values by path under /proc/sys: "net/ipv4/ip_forward", "net/ipv4/conf/eth0.7/rp_filter". Absent: no such file.
using Sysctls = std::map<std::string, std::string>;
std::optional<std::int64_t> NumberOf(const Sysctls& sysctls, const std::string& path);

// /proc/net/snmp and netstat, of IPv4 and TCP: "TcpExt.ListenDrops", "Ip.InAddrErrors". And snmp6's "Ip6InNoRoutes".
using NetworkCounters = std::map<std::string, std::uint64_t>;

// How the kernel routes the traffic in question. A member is absent if the question lacks what it needs.
struct AskedRoutes {
  // The route from this host back to the source, which a strict reverse path filter checks. Needs a source.
  std::optional<Result<Route>> to_source;
  // The link by which the source's packets are assumed to arrive: that of the route back to it; 0 for a local or
  // unknown source.
  std::uint32_t in_link = 0;
  // The route to the destination, for a packet that arrives by in_link (or that this host sends, if in_link is 0).
  // Needs a destination.
  std::optional<Result<Route>> to_destination;
  // The link by which this host itself would send to the destination; 0: unknown.
  std::uint32_t out_link = 0;
  // Source and destination are on one link of this host: their packets do not pass this host, except over a bridge.
  bool same_network = false;
  bool bridged = false;
  // Addresses of this host, of those that the question may be about, to which no route of type local leads.
  std::vector<LocalAddress> undelivered;
  bool source_is_local = false;      // this host itself connects
  bool destination_is_local = true;  // true also without a destination: this host
};

// The kernel's log, as far as it goes back.
struct KernelLogFacts {
  struct Line {
    std::chrono::microseconds since_boot{0};
    std::string text;
  };
  std::uint64_t table_full_lines = 0;  // about this namespace, or without a namespace in the line
  bool table_full_names_us = false;    // the lines name this namespace
  std::vector<Line> table_full;        // the first and the last of them
  std::vector<Line> martian_sources;   // the last few: "martian source 10.0.0.1 from 192.0.2.1, on dev eth0"
  std::vector<Line> syn_floods;        // the last few: "Possible SYN flooding on port ..."
  std::uint64_t lost = 0;
};

// A queue with a listening program (NFQUEUE), from /proc/net/netfilter/nfnetlink_queue.
struct ProgramQueue {
  std::uint64_t waiting = 0;  // packets without a verdict
  std::uint64_t queued = 0;   // since the program bound the queue
};
using ProgramQueues = std::map<std::uint32_t, ProgramQueue>;

// All counters, read at one moment.
struct Reading {
  std::chrono::steady_clock::time_point when;
  Result<TableStatistics> table = Error{"not read"};
  Result<NetworkCounters> network = Error{"not read"};
  std::optional<ProgramQueues> queues = {};  // absent: not known
};

struct HostFacts {
  // Our capabilities: CAP_NET_ADMIN for conntrack and rules, CAP_NET_RAW for --observe, CAP_SYSLOG for the kernel's
  // log.
  bool can_administer_network = false;
  bool can_watch_packets = false;
  bool in_first_namespace = true;  // that of process 1, to which sysctl.d applies
  bool entered = false;            // by --netns: programs on the host around it are not in this namespace
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
  std::optional<std::uint64_t> established_sockets;  // TCP connections between this host and others
  std::chrono::seconds uptime{0};

  // How long the counters of this namespace have counted, at least 1. They begin with the namespace; the age of a
  // namespace other than the first is unknown, so it is 1.
  double HoursCounted() const;
  const Link* LinkOf(std::uint32_t index) const;  // nullptr: unknown
  const Link* LinkOf(const std::string& name) const;
  // Addresses of this host that the question may be about: its destination, or those that its source would ask for.
  std::vector<LocalAddress> AskedAddresses(const Question& question, const AskedRoutes& routes) const;
  const Link* LinkTo(const IpAddress& address) const;  // whose network it is in; nullptr: it is behind a gateway
  const Neighbour* NeighbourOf(const IpAddress& address) const;  // nullptr: the kernel has no entry
  bool IsLocal(const IpAddress& address) const;                  // one of this host's addresses, or in 127.0.0.0/8
  // Packets wait in the queue, and its program gave no verdict between the readings.
  bool Hangs(std::uint32_t queue) const;
};

// Further ones are omitted, and counted.
inline constexpr std::size_t kConnectionsMax = 4'000'000;

// Roots of the file trees; tests use others.
struct FileRoots {
  std::string proc = "/proc";
  std::string etc = "";  // before /etc/sysctl.d, /run/sysctl.d, /usr/lib/sysctl.d ...
  std::string kernel_log = "/dev/kmsg";
};

// Gathers in the calling thread's network namespace. Fills all except `last`, which the caller later sets with
// ReadCounters.
HostFacts GatherHostFacts(const Question& question, const FileRoots& roots);
Reading ReadCounters(const FileRoots& roots);
// Asks the kernel; needs the host's links and addresses. In asked_routes.cpp.
AskedRoutes FindAskedRoutes(const Question& question, const HostFacts& facts);

}  // namespace conntally::diagnose
