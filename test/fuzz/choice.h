// Randomness of a mutator, from libFuzzer's seed: the same seed, the same change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

namespace conntally::fuzz {

class Choice {
 public:
  explicit Choice(unsigned seed) : engine_(seed) {}

  // 0 .. count - 1; 0 for none.
  std::size_t Below(std::size_t count) { return count == 0 ? 0 : engine_() % count; }
  bool OneIn(std::size_t count) { return Below(count) == 0; }
  std::uint64_t Bits() { return engine_(); }

  // A number at the edge of something, more often than not.
  std::uint64_t Number() {
    constexpr std::uint64_t kEdges[] = {0,  1,  2,   3,   4,   7,   8,   15,  16,   31,    32,    33,        63,
                                        64, 65, 127, 128, 129, 255, 256, 511, 4095, 32767, 65535, 0x7fffffff};
    const std::uint64_t edge = kEdges[Below(sizeof kEdges / sizeof *kEdges)];
    switch (Below(4)) {
      case 0: return Bits();
      case 1: return ~edge;
      default: return edge;
    }
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace conntally::fuzz
