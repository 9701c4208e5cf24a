#include "collectors/host/packets/stream_filter.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include <cstring>

#include "collectors/host/packets/packet_bytes.h"

namespace conntally {
namespace {

// linux/icmp.h, linux/icmpv6.h
constexpr std::uint8_t kUnreachable = 3, kTooLong6 = 2;

// A program with labels: jumps are resolved when it is complete.
class Program {
 public:
  using Label = std::size_t;
  static constexpr Label kNext = SIZE_MAX;

  Label NewLabel() { return places_.push_back(0), places_.size() - 1; }
  void Place(Label label) { places_[label] = code_.size(); }
  void Do(std::uint16_t code, std::uint32_t operand) { code_.push_back({code, 0, 0, operand}), jumps_.emplace_back(); }
  void If(std::uint16_t test, std::uint32_t operand, Label then, Label otherwise) {
    code_.push_back({static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), 0, 0, operand});
    jumps_.emplace_back(std::pair(then, otherwise));
  }
  std::vector<sock_filter> Finish() {
    for (std::size_t i = 0; i < code_.size(); ++i) {
      if (!jumps_[i]) continue;
      code_[i].jt = Offset(jumps_[i]->first, i);
      code_[i].jf = Offset(jumps_[i]->second, i);
    }
    return code_;
  }

 private:
  std::uint8_t Offset(Label label, std::size_t from) const {
    return label == kNext ? std::uint8_t{0} : static_cast<std::uint8_t>(places_[label] - from - 1);
  }
  std::vector<sock_filter> code_;
  std::vector<std::optional<std::pair<Label, Label>>> jumps_;
  std::vector<std::size_t> places_;
};

std::uint32_t WordOf(const IpAddress& address, std::size_t word) {
  std::uint32_t value = 0;
  std::memcpy(&value, address.bytes.data() + 4 * word, 4);
  return ntohl(value);
}

// Continues if the address is at one of the two offsets, else jumps to `reject`.
void AtEither(Program& program, const IpAddress& address, std::uint32_t source, std::uint32_t destination,
              Program::Label reject) {
  const std::size_t words = AddressBits(address.family) / 32;
  const auto other = program.NewLabel(), found = program.NewLabel();
  for (std::size_t i = 0; i < words; ++i) {
    program.Do(BPF_LD | BPF_W | BPF_ABS, source + 4 * static_cast<std::uint32_t>(i));
    program.If(BPF_JEQ, WordOf(address, i), i + 1 == words ? found : Program::kNext, other);
  }
  program.Place(other);
  for (std::size_t i = 0; i < words; ++i) {
    program.Do(BPF_LD | BPF_W | BPF_ABS, destination + 4 * static_cast<std::uint32_t>(i));
    program.If(BPF_JEQ, WordOf(address, i), Program::kNext, reject);
  }
  program.Place(found);
}

void Ports(Program& program, const WatchFilter& filter, std::uint16_t load, std::uint32_t offset, Program::Label accept,
           Program::Label reject) {
  if (!filter.destination_port) return program.If(BPF_JEQ, 0, accept, accept);
  program.Do(static_cast<std::uint16_t>(BPF_LD | BPF_H | load), offset);
  program.If(BPF_JEQ, *filter.destination_port, accept, Program::kNext);
  program.Do(static_cast<std::uint16_t>(BPF_LD | BPF_H | load), offset + 2);
  program.If(BPF_JEQ, *filter.destination_port, accept, reject);
}

void Addresses(Program& program, const WatchFilter& filter, Family family, Program::Label reject) {
  const std::uint32_t source = family == Family::kIpv4 ? 12 : 8, destination = family == Family::kIpv4 ? 16 : 24;
  for (const auto* address : {&filter.source, &filter.destination}) {
    if (!*address) continue;
    // A translated destination appears as another address in the packet.
    if (address == &filter.destination && filter.source) continue;
    if ((*address)->family == family) AtEither(program, **address, source, destination, reject);
  }
}

std::uint32_t Number(Bytes bytes, std::size_t at) { return LoadNetworkOrder<std::uint32_t>(bytes.subspan(at)); }
std::uint16_t Short(Bytes bytes, std::size_t at) { return LoadNetworkOrder<std::uint16_t>(bytes.subspan(at)); }

struct Header {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  std::uint32_t payload_bytes = 0;  // of payload, whether captured or not
  Bytes payload;
};

std::optional<Header> ReadHeader(Bytes bytes) {
  if (bytes.size() < 20) return std::nullopt;
  const bool is_v4 = Octet(bytes, 0) >> 4 == 4;
  const std::size_t length = is_v4 ? (Octet(bytes, 0) & 0xfU) * 4U : 40;
  if (length < 20 || bytes.size() < length) return std::nullopt;
  const Family family = is_v4 ? Family::kIpv4 : Family::kIpv6;
  Header header{AddressAt(bytes, is_v4 ? 12 : 8, family), AddressAt(bytes, is_v4 ? 16 : 24, family),
                Octet(bytes, is_v4 ? 9 : 6), Short(bytes, is_v4 ? 2 : 4), bytes.subspan(length)};
  if (is_v4) header.payload_bytes -= std::min<std::uint32_t>(header.payload_bytes, static_cast<std::uint32_t>(length));
  return header;
}

}  // namespace

bool IsNarrow(const WatchFilter& filter) {
  const bool tcp = filter.protocol.value_or(IPPROTO_TCP) == IPPROTO_TCP;
  return tcp && (filter.source || filter.destination);
}

std::vector<sock_filter> StreamProgram(const WatchFilter& filter, std::uint32_t snap_bytes) {
  constexpr std::uint32_t kProtocol = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL);
  Program program;
  const auto accept = program.NewLabel(), reject = program.NewLabel(), v6 = program.NewLabel(),
             tcp4 = program.NewLabel(), tcp6 = program.NewLabel();
  program.Do(BPF_LD | BPF_W | BPF_ABS, kProtocol);
  program.If(BPF_JEQ, ETH_P_IPV6, v6, Program::kNext);
  program.If(BPF_JEQ, ETH_P_IP, Program::kNext, reject);
  program.Do(BPF_LD | BPF_H | BPF_ABS, 6);
  program.If(BPF_JSET, 0x1fff, reject, Program::kNext);  // a later fragment
  program.Do(BPF_LDX | BPF_B | BPF_MSH, 0);
  program.Do(BPF_LD | BPF_B | BPF_ABS, 9);
  program.If(BPF_JEQ, IPPROTO_TCP, tcp4, Program::kNext);
  program.If(BPF_JEQ, IPPROTO_ICMP, Program::kNext, reject);
  program.Do(BPF_LD | BPF_H | BPF_IND, 0);
  program.If(BPF_JEQ, kUnreachable << 8 | kTooLong4, accept, reject);
  program.Place(tcp4);
  Addresses(program, filter, Family::kIpv4, reject);
  Ports(program, filter, BPF_IND, 0, accept, reject);
  program.Place(v6);
  program.Do(BPF_LD | BPF_B | BPF_ABS, 6);
  program.If(BPF_JEQ, IPPROTO_TCP, tcp6, Program::kNext);
  program.If(BPF_JEQ, IPPROTO_ICMPV6, Program::kNext, reject);
  program.Do(BPF_LD | BPF_B | BPF_ABS, 40);
  program.If(BPF_JEQ, kTooLong6, accept, reject);
  program.Place(tcp6);
  Addresses(program, filter, Family::kIpv6, reject);
  Ports(program, filter, BPF_ABS, 40, accept, reject);
  program.Place(reject);
  program.Do(BPF_RET | BPF_K, 0);
  program.Place(accept);
  program.Do(BPF_RET | BPF_K, snap_bytes);
  return program.Finish();
}

std::optional<StreamLedger::Segment> ReadSegment(Bytes packet) {
  const auto header = ReadHeader(packet);
  if (!header || header->protocol != IPPROTO_TCP || header->payload.size() < 20) return std::nullopt;
  const Bytes tcp = header->payload;
  const std::uint32_t tcp_bytes = (Octet(tcp, 12) >> 4) * 4U;
  const std::uint8_t flags = Octet(tcp, 13);
  StreamLedger::Segment segment;
  segment.ends = {header->source, header->destination, Short(tcp, 0), Short(tcp, 2)};
  segment.sequence = Number(tcp, 4);
  segment.acknowledged = Number(tcp, 8);
  segment.acknowledges = (flags & 0x10) != 0;
  segment.begins_or_ends = (flags & 0x06) != 0;
  segment.requests = (flags & 0x16) == 0x02;
  segment.payload_bytes = header->payload_bytes > tcp_bytes ? header->payload_bytes - tcp_bytes : 0;
  return segment;
}

std::optional<TooLong> ReadTooLong(Bytes packet) {
  const auto header = ReadHeader(packet);
  const bool is_v4 = header && header->protocol == IPPROTO_ICMP;
  if (!header || (!is_v4 && header->protocol != IPPROTO_ICMPV6) || header->payload.size() < kIcmpHeaderBytes)
    return std::nullopt;
  const Bytes icmp = header->payload;
  const bool too_long =
      is_v4 ? Octet(icmp, 0) == kUnreachable && Octet(icmp, 1) == kTooLong4 : Octet(icmp, 0) == kTooLong6;
  const auto inner = ReadHeader(icmp.subspan(kIcmpHeaderBytes));
  if (!too_long || !inner || inner->payload.size() < 4) return std::nullopt;
  TooLong said;
  said.ends = {inner->source, inner->destination, Short(inner->payload, 0), Short(inner->payload, 2)};
  said.said_by = header->source;
  said.said_to = header->destination;
  said.mtu = is_v4 ? Short(icmp, 6) : Number(icmp, 4);
  return said;
}

bool IsAskedFor(const WatchFilter& filter, const StreamEnds& ends) {
  const auto is = [&](const StreamEnds& each) {
    return (!filter.source || *filter.source == each.source) &&
           (!filter.destination || *filter.destination == each.destination) &&
           (!filter.destination_port || *filter.destination_port == each.destination_port);
  };
  return is(ends) || is(ends.Reversed());
}

}  // namespace conntally
