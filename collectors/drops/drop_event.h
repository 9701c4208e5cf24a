// Dropped packets as the collectors of drops tell them. Plain values; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "collectors/tally/address.h"

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

// Where in netfilter a packet was dropped. The kernel's tracepoint does not say; what can be derived from the packet
// may leave more than one, so it is a set. The bits of the five IP hooks are NF_INET_* of linux/netfilter.h.
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

// What is known of a dropped packet, and alike for those counted together.
struct DropKey {
  IpAddress source;
  std::uint8_t protocol = 0;           // IPPROTO_*; after IPv6's extension headers
  std::uint16_t destination_port = 0;  // 0: the protocol has none, or a later fragment
  HookSet hooks;
  std::uint32_t in_interface = 0;   // index; 0: none, the packet was made here
  std::uint32_t out_interface = 0;  // index; 0: none, or not decided yet

  friend auto operator<=>(const DropKey&, const DropKey&) = default;
};

// Packets counted where the kernel drops them.
struct CountedDrop {
  DropKey key;
  std::uint64_t packets = 0;
};

// A packet that a log rule told of.
struct LoggedPacket {
  DropKey key;
  DropVia via = DropVia::kNflog;  // kNflog or kLog
  std::string prefix;             // of the log rule; empty: it has none
};

// Dropped packets of a source that a set counted.
struct SetCountedDrop {
  IpAddress source;
  std::string rule;  // that looked into the set
  std::uint64_t packets = 0;
};

}  // namespace conntally
