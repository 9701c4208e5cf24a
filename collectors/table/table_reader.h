// Reads the kernel's own statistics of the conntrack table: fill, limit and losses, by netlink; only the number of
// buckets is from /proc. One query takes some microseconds, more with many expectations.
//
// The kernel's counters are 32 bits wide per CPU and wrap; here they continue in 64 bits.
//
// Threads: one owner.
//
// Sources: linux/netfilter/nfnetlink_conntrack.h (CTA_STATS_*), net/netfilter/nf_conntrack_netlink.c
// (ctnetlink_ct_stat_cpu_fill_info, ctnetlink_stat_ct).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/netlink/attributes.h"
#include "collectors/netlink/socket.h"
#include "collectors/system/result.h"

namespace conntally {

enum class TableCounter : std::uint8_t {
  kInvalid,        // packets that belong to no connection and cannot begin one
  kInsertFailed,   // entries that clashed with another on confirmation
  kDrop,           // packets dropped for lack of room or memory
  kEarlyDrop,      // entries evicted early to make room
  kSearchRestart,  // look-ups restarted because the table was resized
  kClashResolved,  // clashes resolved without losing the packet
  kChainTooLong,   // entries refused because their hash chain was too long
};
inline constexpr std::size_t kTableCounters = 7;

struct TableStatistics {
  std::uint64_t entries = 0;
  std::optional<std::uint64_t> limit;  // absent: the kernel is too old to report it
  std::optional<std::uint64_t> buckets;
  std::uint64_t expectations = 0;
  std::optional<std::uint64_t> expectations_limit;
  std::array<std::uint64_t, kTableCounters> counters{};

  std::uint64_t counter(TableCounter which) const { return counters[static_cast<std::size_t>(which)]; }
};

// Decoders of the kernel's answers. Pure; nullopt for a malformed message.
struct TableFill {
  std::uint32_t entries = 0;
  std::optional<std::uint32_t> limit;
};
std::optional<TableFill> DecodeTableFill(Bytes message);

struct CpuCounters {
  std::uint16_t cpu = 0;
  std::array<std::uint32_t, kTableCounters> values{};
};
std::optional<CpuCounters> DecodeCpuCounters(Bytes message);

class TableReader {
 public:
  // For the namespace of this file; empty: the process's own.
  static Result<TableReader> Open(const std::string& network_namespace_path);

  Result<TableStatistics> Read();

 private:
  explicit TableReader(NetlinkSocket socket) : socket_(std::move(socket)) {}
  void Accumulate(const CpuCounters& counters);

  NetlinkSocket socket_;
  std::vector<std::array<std::uint32_t, kTableCounters>> last_of_cpu_;
  std::array<std::uint64_t, kTableCounters> sums_{};
};

}  // namespace conntally
