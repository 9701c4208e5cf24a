// Any bytes as a message, against libnetfilter_conntrack (conntrack_oracle.h has the rule).
//
//   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_conntrack_decode
//   cd build/fuzz/test/fuzz && ./fuzz_conntrack_decode -max_len=1024 corpus/conntrack_decode
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "collectors/netlink/messages.h"
#include "test/fuzz/netlink_mutator.h"
#include "test/support/conntrack_oracle.h"

CONNTALLY_MUTATES_NETFILTER_MESSAGES;

namespace {

void Check(conntally::Bytes message) {
  const auto report = conntally::test::CompareWithOracle(message);
  if (report.comparison != conntally::test::Comparison::kDisagreed) return;
  std::fprintf(stderr, "%s\n", report.text.c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const conntally::Bytes bytes = std::as_bytes(std::span(data, size));
  Check(bytes);
  conntally::MessageWalk walk(bytes);
  for (conntally::Bytes message; walk.Next(message);) Check(message);

  // Once more with the length the bytes have: else nearly every change of size ends at the header.
  if (size < 4) return 0;
  std::vector<std::byte> whole(bytes.begin(), bytes.end());
  const auto length = std::bit_cast<std::array<std::byte, 4>>(static_cast<std::uint32_t>(size));
  std::copy(length.begin(), length.end(), whole.begin());
  Check(whole);
  return 0;
}
