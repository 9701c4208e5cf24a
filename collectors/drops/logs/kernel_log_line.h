// Parses records of /dev/kmsg, and netfilter's lines in them. Pure; any thread.
//
// Sources: Documentation/ABI/testing/dev-kmsg; net/netfilter/nf_log_syslog.c (dump_ipv4_packet, dump_ipv6_packet);
// net/netfilter/nf_conntrack_core.c ("table full").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collectors/drops/drop_event.h"

namespace conntally {

struct KernelLogRecord {
  std::uint64_t sequence = 0;
  std::uint64_t since_boot_us = 0;
  // Written by the kernel itself. Records that processes write to /dev/kmsg have another facility; they cannot choose
  // this one.
  bool from_kernel = false;
  std::string_view text;  // without the dictionary that may follow; escapes (\x0a) unchanged
};

// nullopt: not a record.
std::optional<KernelLogRecord> ParseKernelLogRecord(std::string_view record);

// A line of the LOG target or of nft's `log`: "PREFIX IN=eth0 OUT= ... SRC=192.0.2.7 DST=... PROTO=TCP SPT=1 DPT=80
// ...". nullopt: another line. It has interface names, so the key has no indexes.
std::optional<LoggedPacket> ParseLogLine(std::string_view text);

// "nf_conntrack: table full, dropping packet"; newer kernels: "nf_conntrack: table full in netns 4026532284, dropping
// packet".
struct TableFullLine {
  std::uint64_t network_namespace =
      0;  // of the full table: the inode of its file under /proc/PID/ns; 0: the line does not say
};
// nullopt: another line.
std::optional<TableFullLine> ParseTableFullLine(std::string_view text);

}  // namespace conntally
