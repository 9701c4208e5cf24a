#include "collectors/table/table_reader.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include "collectors/netlink/messages.h"
#include "collectors/netlink/query.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/proc_files.h"
#include "collectors/system/threads/worker_thread.h"

namespace conntally {
namespace {

using Wants = NetlinkRequest::Wants;

// By TableCounter.
constexpr std::array<std::uint16_t, kTableCounters> kCounterAttributes = {
    CTA_STATS_INVALID,        CTA_STATS_INSERT_FAILED, CTA_STATS_DROP,          CTA_STATS_EARLY_DROP,
    CTA_STATS_SEARCH_RESTART, CTA_STATS_CLASH_RESOLVE, CTA_STATS_CHAIN_TOOLONG,
};

constexpr std::uint16_t ConntrackMessage(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

}  // namespace

std::optional<TableFill> DecodeTableFill(Bytes message) {
  const auto read = ReadNetfilterMessage(message);
  if (!read) return std::nullopt;
  TableFill fill;
  bool has_entries = false;
  AttributeWalk walk(read->attributes);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.payload.size() != sizeof(std::uint32_t)) continue;
    const auto value = LoadNetworkOrder<std::uint32_t>(attribute.payload);
    if (attribute.type == CTA_STATS_GLOBAL_ENTRIES) {
      fill.entries = value;
      has_entries = true;
    }
    if (attribute.type == CTA_STATS_GLOBAL_MAX_ENTRIES) fill.limit = value;
  }
  if (walk.malformed() || !has_entries) return std::nullopt;
  return fill;
}

std::optional<CpuCounters> DecodeCpuCounters(Bytes message) {
  const auto read = ReadNetfilterMessage(message);
  if (!read) return std::nullopt;
  CpuCounters counters;
  counters.cpu = read->resource;
  AttributeWalk walk(read->attributes);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.payload.size() != sizeof(std::uint32_t)) continue;
    for (std::size_t i = 0; i < kTableCounters; ++i) {
      if (attribute.type == kCounterAttributes[i]) {
        counters.values[i] = LoadNetworkOrder<std::uint32_t>(attribute.payload);
      }
    }
  }
  if (walk.malformed()) return std::nullopt;
  return counters;
}

Result<TableReader> TableReader::Open(const std::string& network_namespace_path) {
  Result<NetlinkSocket> socket = Error{};
  if (network_namespace_path.empty()) {
    socket = NetlinkSocket::Open();
  } else {
    // A socket stays in the namespace in which it was opened, so only a separate thread enters it.
    const auto open = [&] {
      const auto ran = Caught([&] {
        const auto entered = EnterNetworkNamespace(network_namespace_path);
        socket = entered ? NetlinkSocket::Open() : entered.error();
      });
      if (!ran) socket = ran.error();
    };
    if (const auto ran = Caught([&] { StartThread("table", open).join(); }); !ran) return ran.error();
  }
  if (!socket) return socket.error();
  return TableReader(std::move(*socket));
}

Result<TableStatistics> TableReader::Read() {
  TableStatistics statistics;
  bool answered = false;
  auto asked = Query(socket_, {ConntrackMessage(IPCTNL_MSG_CT_GET_STATS), Wants::kOne}, [&](Bytes message) {
    const auto fill = DecodeTableFill(message);
    if (!fill) return;
    answered = true;
    statistics.entries = fill->entries;
    if (fill->limit) statistics.limit = *fill->limit;
  });
  if (!asked) return asked.error();
  if (!answered) return Error{"the kernel's conntrack statistics are malformed", EPROTO};

  asked = Query(socket_, {ConntrackMessage(IPCTNL_MSG_CT_GET_STATS_CPU), Wants::kDump}, [&](Bytes message) {
    if (const auto counters = DecodeCpuCounters(message)) Accumulate(*counters);
  });
  if (!asked) return asked.error();
  statistics.counters = sums_;

  constexpr auto kExpectations = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK_EXP << 8 | IPCTNL_MSG_EXP_GET);
  asked = Query(socket_, {kExpectations, Wants::kDump}, [&](Bytes) { ++statistics.expectations; });
  if (!asked) return asked.error();

  // Shared by all namespaces, and not available by netlink.
  statistics.buckets = ReadSysctlNumber("/proc", "net/netfilter/nf_conntrack_buckets");
  statistics.expectations_limit = ReadSysctlNumber("/proc", "net/netfilter/nf_conntrack_expect_max");
  return statistics;
}

void TableReader::Accumulate(const CpuCounters& counters) {
  if (counters.cpu >= last_of_cpu_.size()) last_of_cpu_.resize(counters.cpu + std::size_t{1});
  auto& last = last_of_cpu_[counters.cpu];
  for (std::size_t i = 0; i < kTableCounters; ++i) {
    sums_[i] += counters.values[i] - last[i];  // modulo 2^32, as the kernel's wrap
    last[i] = counters.values[i];
  }
}

}  // namespace conntally
