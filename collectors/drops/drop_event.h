// Dropped packets as the ways (eBPF, NFLOG, LOG, sets) report them. Plain values; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "collectors/addresses/address.h"

namespace conntally {

// How a drop became known.
enum class DropVia : std::uint8_t { kEbpf, kNflog, kLog, kSet };
inline constexpr std::size_t kDropVias = 4;

constexpr const char* NameOf(DropVia via) {
  switch (via) {
    case DropVia::kEbpf: return "ebpf";
    case DropVia::kNflog: return "nflog";
    case DropVia::kLog: return "log";
    case DropVia::kSet: return "set";
  }
  return "";
}

// Where in netfilter a packet was dropped. The kernel's tracepoint does not say. What can be derived from the packet
// may leave several, so it is a set. The bits of the five IP hooks are NF_INET_* of linux/netfilter.h.
class HookSet {
 public:
  static constexpr std::uint8_t kPrerouting = 1 << 0;
  static constexpr std::uint8_t kInput = 1 << 1;
  static constexpr std::uint8_t kForward = 1 << 2;
  static constexpr std::uint8_t kOutput = 1 << 3;
  static constexpr std::uint8_t kPostrouting = 1 << 4;
  static constexpr std::uint8_t kDevice = 1 << 5;  // ingress or egress of a device, or a bridge's hooks
  static constexpr std::uint8_t kAny = 0x3f;

  constexpr explicit HookSet(std::uint8_t bits = kAny) : bits_(bits & kAny) {}

  constexpr std::uint8_t bits() const { return bits_; }
  constexpr bool Meets(HookSet other) const { return (bits_ & other.bits_) != 0; }

  friend constexpr auto operator<=>(HookSet, HookSet) = default;

 private:
  std::uint8_t bits_;
};

// The two ends of a packet's connection.
struct DropEnds {
  IpAddress source;
  std::optional<IpAddress> destination;  // absent: not known
  std::uint16_t destination_port = 0;    // 0: the protocol has none, or unknown

  friend auto operator<=>(const DropEnds&, const DropEnds&) = default;
};

// What is known of a dropped packet; packets with equal keys are counted together. The addresses are those that rules
// saw.
struct DropKey {
  IpAddress source;
  std::uint8_t protocol = 0;           // IPPROTO_*; after IPv6's extension headers
  std::uint16_t destination_port = 0;  // 0: the protocol has none, or a later fragment
  HookSet hooks = HookSet();
  std::uint32_t in_interface = 0;   // index; 0: none, this host sent the packet
  std::uint32_t out_interface = 0;  // index; 0: none, or not decided yet
  std::optional<IpAddress> destination = std::nullopt;
  std::optional<std::uint8_t> icmp_type = std::nullopt;
  std::uint8_t state = 0;  // of the connection, a bit of NF_CT_STATE_*; 0: unknown
  // The ends in the connection's original direction, if they differ from the packet's: behind NAT, or for a reply.
  std::optional<DropEnds> original = std::nullopt;

  // The interface that it entered by or, if this host sent it, left by.
  std::uint32_t interface() const { return in_interface != 0 ? in_interface : out_interface; }
  // The ends for which the drop is counted.
  DropEnds ends() const { return original ? *original : DropEnds{source, destination, destination_port}; }

  friend auto operator<=>(const DropKey&, const DropKey&) = default;
};

// Packets counted by the eBPF program, where the kernel drops them.
struct CountedDrop {
  DropKey key;
  std::uint64_t packets = 0;
};

// A packet that a log rule reported.
struct LoggedPacket {
  DropKey key;
  DropVia via = DropVia::kNflog;  // kNflog or kLog
  std::string prefix;             // of the log rule; empty: it has none
  // The interfaces' names, if the key has no indexes.
  std::string in_interface = {}, out_interface = {};
};

// Dropped packets of a source that a set counted.
struct SetCountedDrop {
  IpAddress source;
  std::string rule;  // that uses the set
  std::uint64_t packets = 0;
};

}  // namespace conntally
