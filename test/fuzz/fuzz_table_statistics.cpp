// Any bytes as the kernel's answers about its table: nothing outside them is read, and what is read back is plausible.
//
//   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_table_statistics
//   cd build/fuzz/test/fuzz && ./fuzz_table_statistics -max_len=512
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <vector>

#include "collectors/netlink/messages.h"
#include "collectors/table/table_reader.h"
#include "test/fuzz/netlink_mutator.h"

CONNTALLY_MUTATES_NETFILTER_MESSAGES;

namespace {

void Check(conntally::Bytes message) {
  using namespace conntally;
  const bool has_room = message.size() >= MessageHeader::kBytes + 4;
  const auto fill = DecodeTableFill(message);
  const auto counters = DecodeCpuCounters(message);
  if ((fill || counters) && !has_room) std::abort();
  if (fill && !counters) std::abort();  // both walk the same attributes; the fill asks for one more
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const conntally::Bytes bytes = std::as_bytes(std::span(data, size));
  Check(bytes);

  // Once more with the length the bytes have: else nearly every change of size ends at the header.
  if (size < 4) return 0;
  std::vector<std::byte> whole(bytes.begin(), bytes.end());
  const auto length = std::bit_cast<std::array<std::byte, 4>>(static_cast<std::uint32_t>(size));
  std::copy(length.begin(), length.end(), whole.begin());
  Check(whole);
  return 0;
}
