// Epochs: how a reader takes a consistent snapshot of counters that writers keep changing.
//
// Every laned counter has two lanes. A writer works in batches; during one it is pinned to an epoch and adds
// only to lane `epoch & 1`. A reader flips the epoch and waits until no writer is pinned to the old one: the old
// epoch's lane is then frozen and holds exactly what the finished batches added. The reader folds it into its own
// sums, zeroes it, and it is ready for the epoch after next. Writers never wait: pinning retries only when a
// flip fell between its two loads.
//
// The same wait is a grace period: after a flip, nothing can reach what was unlinked before it.
//
// Memory order: Pin publishes its epoch and then loads the current one, Flip publishes the next epoch and then loads
// the pins. All four are seq_cst, so at least one of the two sees the other (Dekker). Unpin is a release that pairs
// with Flip's acquire loads: a batch's writes are visible once its end is seen. Earlier writes of Flip's caller (zeroed
// lanes) reach a writer through the epoch that it acquires.
//
// Threads: Register at start-up or later, any thread. A Writer belongs to one thread at a time. Flip: one
// thread at a time (the caller's lock).
#pragma once

#include <array>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace conntally {

inline constexpr std::size_t kCacheLineBytes = 64;

class EpochDomain {
  struct alignas(kCacheLineBytes) Slot {
    std::atomic<std::uint64_t> pinned{kIdle};
  };

 public:
  static constexpr unsigned kWritersMax = 32;

  class Pin;

  class Writer {
   public:
    Writer(EpochDomain& domain, unsigned index) : domain_(&domain), slot_(&domain.slots_[index]), index_(index) {}
    // The writer's number in the domain: 0 .. kWritersMax - 1.
    unsigned index() const { return index_; }

   private:
    friend class Pin;
    EpochDomain* domain_;
    Slot* slot_;
    unsigned index_;
  };

  // While it lives, the writer's additions belong to `lane()`. Keep it short: readers wait for its end.
  class Pin {
   public:
    explicit Pin(const Writer& writer) : slot_(writer.slot_) {
      std::uint64_t epoch = writer.domain_->epoch_.load(std::memory_order_acquire);
      for (;;) {
        slot_->pinned.store(epoch, std::memory_order_seq_cst);
        const std::uint64_t now = writer.domain_->epoch_.load(std::memory_order_seq_cst);
        if (now == epoch) break;
        epoch = now;
      }
      lane_ = epoch & 1;
    }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    ~Pin() { slot_->pinned.store(kIdle, std::memory_order_release); }

    std::size_t lane() const { return lane_; }

   private:
    Slot* slot_;
    std::size_t lane_;
  };

  // At most kWritersMax over the domain's life: more is a bug.
  Writer Register() {
    const unsigned index = registered_.fetch_add(1, std::memory_order_relaxed);
    assert(index < kWritersMax);
    return Writer(*this, index);
  }

  // Begins the next epoch and returns the frozen lane of the one that ended.
  std::size_t Flip() {
    const std::uint64_t ended = epoch_.load(std::memory_order_relaxed);
    epoch_.store(ended + 1, std::memory_order_seq_cst);
    for (const Slot& slot : slots_) {
      while (slot.pinned.load(std::memory_order_seq_cst) == ended) {
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
    }
    return ended & 1;
  }

 private:
  static constexpr std::uint64_t kIdle = 0;

  std::atomic<std::uint64_t> epoch_{2};
  std::atomic<unsigned> registered_{0};
  std::array<Slot, kWritersMax> slots_;
};

}  // namespace conntally
