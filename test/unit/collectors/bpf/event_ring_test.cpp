// The ring, both sides: the producers' is the very code that runs in the kernel, with threads for its CPUs.
#include <atomic>
#include <cstdint>
#include <deque>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "collectors/bpf/events/ring_producer.h"
#include "collectors/bpf/ring_consumer.h"
#include "test/support/catch.h"

using namespace conntally;

namespace {

struct Memory {
  explicit Memory(std::size_t slots) : records(slots) {}
  std::vector<conntrack_event_record> records;
  conntrack_event_counters counters{};

  RingConsumer Consumer(std::uint64_t producers) { return {records, counters, producers}; }
  conntrack_event_record& Slot(std::uint64_t ticket_and_1) { return records[(ticket_and_1 - 1) & counters.mask]; }
};

// What every field of a record is made of, so that a torn one shows.
void Fill(conntrack_event_record& record, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) record.source[i] = record.destination[i] = value + static_cast<std::uint32_t>(i);
  record.status = value;
  record.lasted_ns = value;
}

bool IsWhole(const conntrack_event_record& record) {
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t value = record.status + static_cast<std::uint32_t>(i);
    if (record.source[i] != value || record.destination[i] != value) return false;
  }
  return record.lasted_ns == record.status;
}

bool Produce(Memory& memory, std::uint32_t value) {
  const auto ticket_and_1 = ring_take(&memory.counters);
  if (ticket_and_1 == RING_FULL) return false;
  Fill(memory.Slot(ticket_and_1), value);
  ring_publish(&memory.Slot(ticket_and_1), ticket_and_1);
  return true;
}

}  // namespace

TEST_CASE("records come in order, across the ring's end, and what finds no room is counted") {
  Memory memory(8);
  RingConsumer ring = memory.Consumer(2);
  std::mt19937 random(7);
  std::deque<std::uint32_t> queued;
  std::uint64_t turned_away = 0;
  std::uint64_t unreleased = 0;  // of the last Take: theirs until the next
  for (std::uint32_t value = 1; value < 20'000;) {
    if (random() % 3 != 0) {
      const bool room = queued.size() + unreleased < 6;
      CHECK(Produce(memory, value) == room);
      if (room) queued.push_back(value);
      turned_away += room ? 0 : 1;
      ++value;
      continue;
    }
    const auto taken = ring.Take(1 + random() % 4);
    for (const auto& record : taken) {
      REQUIRE_FALSE(queued.empty());
      REQUIRE(IsWhole(record));
      CHECK(record.status == queued.front());
      queued.pop_front();
    }
    unreleased = taken.size();
  }
  CHECK(ring.turned_away() == turned_away);
  CHECK(turned_away > 0);
}

TEST_CASE("a record that is still being written is waited for, and so is what comes behind it") {
  Memory memory(8);
  RingConsumer ring = memory.Consumer(2);
  const auto slow = ring_take(&memory.counters);
  REQUIRE(Produce(memory, 2));
  CHECK(ring.Take(8).empty());
  CHECK(ring.handed_out() == 2);
  CHECK(ring.taken() == 0);
  Fill(memory.Slot(slow), 1);
  ring_publish(&memory.Slot(slow), slow);
  const auto taken = ring.Take(8);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].status == 1);
  CHECK(taken[1].status == 2);
}

TEST_CASE(
    "as many producers as there may be pass the check of a full ring together, and none overwrites what is unread") {
  Memory memory(8);
  RingConsumer ring = memory.Consumer(2);
  for (std::uint32_t value = 1; value <= 6; ++value) REQUIRE(Produce(memory, value));
  // Both looked while there was room for one more: as by ring_take, whose second step is here alone.
  for (std::uint32_t value = 7; value <= 8; ++value) {
    const auto ticket_and_1 = __sync_fetch_and_add(&memory.counters.handed_out, 1) + 1;
    Fill(memory.Slot(ticket_and_1), value);
    ring_publish(&memory.Slot(ticket_and_1), ticket_and_1);
  }
  CHECK_FALSE(Produce(memory, 9));
  const auto taken = ring.Take(8);
  REQUIRE(taken.size() == 8);
  for (std::uint32_t i = 0; i < 8; ++i) CHECK(taken[i].status == i + 1);
}

TEST_CASE("a consumer after another goes on where that one stopped") {
  Memory memory(8);
  {
    RingConsumer ring = memory.Consumer(2);
    for (std::uint32_t value = 1; value <= 5; ++value) REQUIRE(Produce(memory, value));
    REQUIRE(ring.Take(3).size() == 3);
    REQUIRE(ring.Take(1).size() == 1);
  }
  RingConsumer ring = memory.Consumer(2);
  const auto taken = ring.Take(8);
  REQUIRE(taken.size() == 2);  // the one that was handed out and not given back comes again
  CHECK(taken[0].status == 4);
}

TEST_CASE(
    "with several producers at a time each event is either taken whole, once and in its producer's order, or counted") {
  constexpr std::uint32_t kProducers = 2;
  constexpr std::uint32_t kEach = 200'000;
  Memory memory(64);
  RingConsumer ring = memory.Consumer(kProducers);
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint32_t> running{kProducers};
  std::vector<std::thread> producers;
  for (std::uint32_t producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&, producer] {
      for (std::uint32_t i = 0; i < kEach; ++i) {
        if (!Produce(memory, producer << 24 | i)) refused.fetch_add(1, std::memory_order_relaxed);
      }
      running.fetch_sub(1, std::memory_order_release);
    });
  }
  std::vector<std::int64_t> last(kProducers, -1);
  std::uint64_t taken = 0;
  std::uint64_t wrong = 0;
  for (bool over = false; !over;) {
    over = running.load(std::memory_order_acquire) == 0;
    for (auto batch = ring.Take(16); !batch.empty(); batch = ring.Take(16)) {
      for (const auto& record : batch) {
        const std::uint32_t producer = record.status >> 24;
        const std::int64_t number = record.status & 0xff'ffff;
        if (!IsWhole(record) || producer >= kProducers || number <= last[producer]) {
          ++wrong;
          continue;
        }
        last[producer] = number;
        ++taken;
      }
    }
  }
  for (std::thread& producer : producers) producer.join();
  CHECK(wrong == 0);
  CHECK(taken + refused == kProducers * kEach);
  CHECK(ring.turned_away() == refused);
}
