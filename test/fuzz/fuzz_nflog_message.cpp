// Any bytes as a message of nfnetlink_log, and as a packet.
//
//   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_nflog_message
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <vector>

#include <linux/netfilter/nfnetlink.h>

#include "collectors/drops/logs/nflog_message.h"
#include "collectors/drops/logs/packet_header.h"
#include "test/fuzz/netlink_mutator.h"

CONNTALLY_MUTATES_NETFILTER_MESSAGES;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const conntally::Bytes bytes = std::as_bytes(std::span(data, size));
  conntally::ReadPacketHeader(bytes);
  conntally::DecodeNflogMessage(bytes);

  // Once more with the header that the decoder asks for: else nearly every input ends there.
  if (size < 6) return 0;
  std::vector<std::byte> whole(bytes.begin(), bytes.end());
  const auto length = std::bit_cast<std::array<std::byte, 4>>(static_cast<std::uint32_t>(size));
  std::copy(length.begin(), length.end(), whole.begin());
  whole[4] = std::byte{0};
  whole[5] = std::byte{NFNL_SUBSYS_ULOG};
  const auto decoded = conntally::DecodeNflogMessage(whole);
  if (!decoded || !decoded->packet) return 0;
  const bool shown = std::all_of(decoded->packet->prefix.begin(), decoded->packet->prefix.end(),
                                 [](char letter) { return letter >= ' ' && letter <= '~'; });
  if (!shown) std::abort();  // it becomes a label
  return 0;
}
