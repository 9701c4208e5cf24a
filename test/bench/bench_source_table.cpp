// ns per update of SourceTable through batches, 1,000,000 sources chosen by Zipf's law, beside the limit: a random
// fetch_add on an array of rows as big. With 1 and 2 threads; the median of several rounds, per operation of all.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "collectors/tally/tally.h"

namespace {

using namespace conntally;

constexpr std::uint32_t kSources = 1'000'000;
constexpr std::size_t kOperations = 4'000'000;
constexpr std::size_t kBatch = 512;
constexpr unsigned kRounds = 7;

struct alignas(kCacheLineBytes) Cell {
  std::atomic<std::uint64_t> value{0};
};

IpAddress SourceOf(std::uint32_t index) {
  IpAddress source;
  source.bytes = {10, static_cast<std::uint8_t>(index >> 16), static_cast<std::uint8_t>(index >> 8),
                  static_cast<std::uint8_t>(index)};
  return source;
}

std::vector<std::uint32_t> ZipfIndices(unsigned seed) {
  std::vector<double> cumulative(kSources);
  double sum = 0;
  for (std::uint32_t i = 0; i < kSources; ++i) cumulative[i] = sum += 1.0 / (i + 1);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, sum);
  std::vector<std::uint32_t> scattered(kSources);
  for (std::uint32_t i = 0; i < kSources; ++i) scattered[i] = i;
  std::shuffle(scattered.begin(), scattered.end(), std::mt19937_64(1));
  std::vector<std::uint32_t> indices(kOperations);
  for (std::uint32_t& index : indices) {
    const auto found = std::lower_bound(cumulative.begin(), cumulative.end(), uniform(random));
    index = scattered[std::min<std::size_t>(static_cast<std::size_t>(found - cumulative.begin()), kSources - 1)];
  }
  return indices;
}

template <typename Work>
double MedianNanoseconds(unsigned threads, Work work) {
  std::vector<double> rounds;
  for (unsigned round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> running;
    for (unsigned i = 0; i < threads; ++i) running.emplace_back([&, i] { work(i); });
    for (std::thread& thread : running) thread.join();
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    rounds.push_back(taken.count() / static_cast<double>(kOperations * threads));
  }
  std::sort(rounds.begin(), rounds.end());
  return rounds[kRounds / 2];
}

// One opening, and the end of another connection of the source whose row is known.
void Update(TallyWriter& writer, const std::vector<std::uint32_t>& indices, bool acquire,
            const std::vector<SourceRow>& rows) {
  std::vector<std::uint64_t> hashes(kBatch);
  for (std::size_t at = 0; at + kBatch <= indices.size(); at += kBatch) {
    if (acquire) {
      for (std::size_t i = 0; i < kBatch; ++i) writer.Prefetch(hashes[i] = writer.Hash(SourceOf(indices[at + i])));
    }
    TallyWriter::Batch batch(writer);
    for (std::size_t i = 0; i < kBatch; ++i) {
      const std::uint32_t index = indices[at + i];
      const SourceRow row = acquire ? batch.Acquire(SourceOf(index), hashes[i]) : rows[index];
      batch.AddSource(row, {.connections = 1, .opened = 1});
      if (acquire) batch.Release(row);
    }
  }
}

}  // namespace

int main() {
  const std::vector<std::vector<std::uint32_t>> indices = {ZipfIndices(2), ZipfIndices(3)};
  Tally tally(kSources * 2, KeyedHash::WithRandomSecret());
  std::vector<TallyWriter*> writers = {&tally.AddWriter(), &tally.AddWriter()};
  std::vector<SourceRow> rows(kSources);
  for (std::uint32_t i = 0; i < kSources; ++i) {
    TallyWriter::Batch batch(*writers[0]);
    rows[i] = batch.Acquire(SourceOf(i), writers[0]->Hash(SourceOf(i)));
  }
  std::vector<Cell> cells(kSources);
  std::printf("%-52s %10s %10s\n", "ns per update, 1,000,000 sources, Zipf", "1 thread", "2 threads");
  const auto print = [&](const char* what, auto work) {
    std::printf("%-52s %10.1f %10.1f\n", what, MedianNanoseconds(1, work), MedianNanoseconds(2, work));
  };
  print("random fetch_add on an array: the limit", [&](unsigned thread) {
    for (const std::uint32_t index : indices[thread]) cells[index].value.fetch_add(1, std::memory_order_relaxed);
  });
  print("Add to a known row (an event of a known flow)",
        [&](unsigned thread) { Update(*writers[thread], indices[thread], false, rows); });
  print("Hash + Acquire + Add + Release (NEW)",
        [&](unsigned thread) { Update(*writers[thread], indices[thread], true, rows); });
}
