#include "daemon/diagnose/facts/host_facts.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <utility>

#include "collectors/drops/logs/kernel_log.h"
#include "collectors/host/listening_sockets.h"
#include "collectors/host/network_reader.h"
#include "collectors/host/queue_drops.h"
#include "collectors/system/capabilities.h"
#include "collectors/system/folder.h"
#include "collectors/system/proc_files.h"

namespace conntally::diagnose {
namespace {

constexpr unsigned kLogRecordsMax = 200'000;
constexpr std::size_t kLogLinesKept = 20;

Sysctls ReadSettings(const std::string& proc) {
  Sysctls settings;
  for (const char* path :
       {"net/ipv4/ip_forward", "net/ipv4/ip_local_port_range", "net/ipv4/icmp_echo_ignore_all",
        "net/ipv6/icmp/echo_ignore_all", "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
        "net/ipv4/tcp_syncookies", "net/ipv4/tcp_max_syn_backlog", "net/core/somaxconn"}) {
    if (auto value = ReadSysctl(proc, path)) settings[path] = *std::move(value);
  }
  ReadSysctls(proc, "net/netfilter", "nf_conntrack_", settings);
  for (const std::string folder : {"net/ipv4/conf", "net/ipv6/conf"}) {
    const auto links = NamesIn(proc + "/sys/" + folder);
    for (const std::string& of_link : links ? *links : std::vector<std::string>{}) {
      const std::string link = folder + "/" + of_link;
      for (const char* name : {"rp_filter", "forwarding", "force_forwarding", "log_martians", "route_localnet",
                               "disable_ipv6", "arp_ignore", "proxy_arp"}) {
        if (auto value = ReadSysctl(proc, link + "/" + name)) settings[link + "/" + name] = *std::move(value);
      }
    }
  }
  return settings;
}

void KeepLast(std::vector<KernelLogFacts::Line>& lines, KernelLogFacts::Line line) {
  if (lines.size() >= kLogLinesKept) lines.erase(lines.begin());
  lines.push_back(std::move(line));
}

Result<KernelLogFacts> ReadKernelLog(const std::string& path, std::uint64_t namespace_id) {
  auto log = KernelLog::Open(path, KernelLog::From::kOldest);
  if (!log) return log.error();
  KernelLogFacts facts;
  const auto read = log->Read(kLogRecordsMax, [&](const KernelLogRecord& record) {
    KernelLogFacts::Line line{std::chrono::microseconds(record.since_boot_us), std::string(record.text)};
    if (const auto full = ParseTableFullLine(record.text)) {
      const bool names_us = full->network_namespace != 0 && full->network_namespace == namespace_id;
      if (full->network_namespace != 0 && !names_us) return;
      facts.table_full_names_us = names_us;
      ++facts.table_full_lines;
      // The first one stays.
      if (facts.table_full.size() >= kLogLinesKept) facts.table_full.erase(facts.table_full.begin() + 1);
      facts.table_full.push_back(std::move(line));
    } else if (record.text.find("martian source") != record.text.npos) {
      KeepLast(facts.martian_sources, std::move(line));
    } else if (record.text.find("ossible SYN flooding on port") != record.text.npos) {
      KeepLast(facts.syn_floods, std::move(line));
    }
  });
  if (!read) return read.error();
  facts.lost = log->lost();
  return facts;
}

std::uint64_t InodeOf(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace

std::optional<std::int64_t> NumberOf(const Sysctls& sysctls, const std::string& path) {
  const auto found = sysctls.find(path);
  if (found == sysctls.end()) return std::nullopt;
  const std::string& text = found->second;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

double HostFacts::HoursCounted() const {
  return in_first_namespace ? std::max(1.0, static_cast<double>(uptime.count()) / 3600) : 1.0;
}

const Link* HostFacts::LinkOf(std::uint32_t index) const {
  if (!links) return nullptr;
  const auto found = std::find_if(links->begin(), links->end(), [&](const Link& link) { return link.index == index; });
  return found == links->end() ? nullptr : &*found;
}

const Link* HostFacts::LinkOf(const std::string& name) const {
  if (!links) return nullptr;
  const auto found = std::find_if(links->begin(), links->end(), [&](const Link& link) { return link.name == name; });
  return found == links->end() ? nullptr : &*found;
}

const Link* HostFacts::LinkTo(const IpAddress& address) const {
  if (!addresses) return nullptr;
  for (const LocalAddress& each : *addresses) {
    if (each.address.family == address.family &&
        Masked(each.address, each.prefix_length) == Masked(address, each.prefix_length))
      return LinkOf(each.link);
  }
  return nullptr;
}

const Neighbour* HostFacts::NeighbourOf(const IpAddress& address) const {
  if (!neighbours) return nullptr;
  const auto found = std::ranges::find(*neighbours, address, &Neighbour::address);
  return found == neighbours->end() ? nullptr : &*found;
}

bool HostFacts::IsLocal(const IpAddress& address) const {
  if (address.family == Family::kIpv4 && address.bytes[0] == 127) return true;
  return addresses && std::any_of(addresses->begin(), addresses->end(),
                                  [&](const LocalAddress& local) { return local.address == address; });
}

bool HostFacts::Hangs(std::uint32_t queue) const {
  if (!first.queues || !last.queues || !first.queues->contains(queue) || !last.queues->contains(queue)) return false;
  const ProgramQueue &then = first.queues->at(queue), &now = last.queues->at(queue);
  const bool decided = now.queued - now.waiting != then.queued - then.waiting;
  return now.waiting > 0 && now.queued >= then.queued && !decided;
}

namespace {

// A line for each queue: its number, the program's port, packets that wait, how they are copied (2 figures), dropped (2
// figures), queued so far (nfnetlink_queue.c, seq_show). Without the module there is no listener.
std::optional<ProgramQueues> ReadProgramQueues(const std::string& proc) {
  ProgramQueues queues;
  if (InodeOf(proc + "/thread-self/net/netfilter") == 0) return std::nullopt;
  std::ifstream file(proc + "/thread-self/net/netfilter/nfnetlink_queue");
  for (std::string line; std::getline(file, line);) {
    std::array<std::uint64_t, 8> figures{};
    std::istringstream text(line);
    for (std::uint64_t& figure : figures) text >> figure;
    if (text) queues[static_cast<std::uint32_t>(figures[0])] = {figures[2], figures[7]};
  }
  return queues;
}

}  // namespace

Reading ReadCounters(const FileRoots& roots) {
  Reading reading;
  reading.when = std::chrono::steady_clock::now();
  if (auto reader = TableReader::Open("")) {
    reading.table = reader->Read();
  } else {
    reading.table = reader.error();
  }
  reading.network = ReadNetworkCounters(roots.proc);
  if (reading.network) ReadQueueDrops(*reading.network);
  reading.queues = ReadProgramQueues(roots.proc);
  return reading;
}

HostFacts GatherHostFacts(const Question& question, const FileRoots& roots) {
  HostFacts facts;
  facts.can_administer_network = HasCapability(CAP_NET_ADMIN);
  facts.can_watch_packets = HasCapability(CAP_NET_RAW);
  facts.namespace_id = InodeOf(roots.proc + "/thread-self/ns/net");
  const std::uint64_t first_namespace = InodeOf(roots.proc + "/1/ns/net");
  // If process 1's namespace is not readable: this setting exists only in the machine's first namespace
  // (net/core/sysctl_net_core.c).
  facts.in_first_namespace = first_namespace != 0 ? first_namespace == facts.namespace_id
                                                  : ReadSysctl(roots.proc, "net/core/netdev_budget").has_value();
  facts.uptime = ReadUptime(roots.proc).value_or(std::chrono::seconds(0));

  facts.links = ReadLinks();
  facts.addresses = ReadLocalAddresses();
  facts.routing = ReadRoutingPolicy();
  facts.routes = FindAskedRoutes(question, facts);
  facts.sysctls = ReadSettings(roots.proc);
  facts.saved_sysctls = ReadSavedSysctls(roots.etc);
  facts.listeners = ReadListeningSockets();
  if (const auto established = CountEstablishedSockets()) facts.established_sockets = *established;
  facts.kernel_log = ReadKernelLog(roots.kernel_log, facts.namespace_id);
  facts.first = ReadCounters(roots);
  facts.connections = ListConnections(kConnectionsMax);
  return facts;
}

}  // namespace conntally::diagnose
