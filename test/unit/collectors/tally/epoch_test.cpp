// Run under TSan too. What the writers add here is plain memory, so that it sees each missing acquire or release: in
// the tally these are relaxed atomics, whose order nothing watches.
#include "collectors/tally/epoch.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "test/support/catch.h"

using namespace conntally;

namespace {

struct alignas(kCacheLineBytes) Lane {
  std::uint64_t begun = 0;
  std::uint64_t ended = 0;
};

struct Counting {
  EpochDomain::Writer writer;
  std::array<Lane, 2> lanes{};
};

}  // namespace

TEST_CASE("a flip hands over the lane of the epoch that ended, and the next batch uses the other") {
  EpochDomain domain;
  const EpochDomain::Writer writer = domain.Register();
  for (int i = 0; i < 5; ++i) {
    const std::size_t lane = EpochDomain::Pin(writer).lane();
    CHECK(domain.Flip() == lane);
    CHECK(EpochDomain::Pin(writer).lane() != lane);
  }
}

TEST_CASE("a flip waits for the batches of the epoch that it ends, and for no later one") {
  EpochDomain domain;
  const EpochDomain::Writer first = domain.Register();
  const EpochDomain::Writer second = domain.Register();
  auto pin = std::make_unique<EpochDomain::Pin>(first);
  std::atomic<bool> flipped = false;
  std::thread reader([&] {
    domain.Flip();
    flipped = true;
  });
  const std::size_t old_lane = pin->lane();
  while (EpochDomain::Pin(second).lane() == old_lane) std::this_thread::yield();  // until the epoch has moved on
  const EpochDomain::Pin of_the_next(second);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK_FALSE(flipped);
  pin.reset();
  reader.join();
  CHECK(flipped);
}

TEST_CASE("after a flip the frozen lane is the reader's alone, with every batch whole") {
  constexpr int kBatches = 100'000;
  EpochDomain domain;
  std::vector<std::unique_ptr<Counting>> writers;
  for (int i = 0; i < 3; ++i) writers.push_back(std::make_unique<Counting>(Counting{domain.Register()}));
  std::atomic<std::size_t> running = writers.size();
  std::vector<std::thread> threads;
  for (const auto& counting : writers) {
    threads.emplace_back([&, own = counting.get()] {
      for (int i = 0; i < kBatches; ++i) {
        const EpochDomain::Pin pin(own->writer);
        Lane& lane = own->lanes[pin.lane()];
        ++lane.begun;
        if (i % 64 == 0) std::this_thread::yield();
        ++lane.ended;
      }
      running.fetch_sub(1);
    });
  }
  std::uint64_t sum = 0;
  std::uint64_t torn = 0;
  const auto fold = [&] {
    const std::size_t frozen_lane = domain.Flip();
    for (const auto& counting : writers) {
      Lane& lane = counting->lanes[frozen_lane];
      if (lane.begun != lane.ended) ++torn;
      sum += lane.ended;
      lane = Lane{};
    }
  };
  while (running.load() > 0) fold();
  for (std::thread& thread : threads) thread.join();
  fold();
  fold();
  CHECK(torn == 0);
  CHECK(sum == writers.size() * kBatches);
}
