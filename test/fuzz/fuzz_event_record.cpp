// Any bytes as a ring of conntrack events that the kernel shares: the consumer stays within it, and what it decodes is
// an event or is refused.
//
//   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_event_record
#include <cstdlib>
#include <cstring>
#include <vector>

#include "collectors/bpf/ring_consumer.h"
#include "collectors/conntrack/decode/decode_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace conntally;
  constexpr std::size_t kSlots = 8;
  conntrack_event_counters counters{};
  std::vector<conntrack_event_record> records(kSlots);
  if (size < sizeof counters) return 0;
  std::memcpy(&counters, data, sizeof counters);
  const std::size_t rest = std::min(size - sizeof counters, kSlots * sizeof(conntrack_event_record));
  std::memcpy(records.data(), data + sizeof counters, rest);
  // Half of the inputs with the numbers that the consumer waits for: else nearly none of them is looked at.
  if (size % 2 == 0) {
    for (std::size_t i = 0; i < kSlots; ++i)
      records[(counters.consumed + i) % kSlots].sequence = counters.consumed + i + 1;
  }

  RingConsumer ring(records, counters, 2);
  for (unsigned i = 0; i < 3 * kSlots; ++i) {
    for (const conntrack_event_record& record : ring.Take(1 + i % 5)) {
      if (&record < records.data() || &record >= records.data() + kSlots) std::abort();
      FlowEvent event;
      if (DecodeFlow(record, event) != DecodeOutcome::kFlow) continue;
      if (static_cast<unsigned>(event.tcp_state) >= kTcpStates || event.stop_ns < event.start_ns) std::abort();
    }
  }
  return 0;
}
