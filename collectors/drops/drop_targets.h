// The ports to which one source's packets were dropped recently: the few with most packets, the number of distinct
// ones, and the number of distinct pairs of a destination and a port. The numbers are estimated by linear counting
// (Whang, Vander-Zanden, Taylor 1990: -m ln(share of zero bits), here up to some 1,400 ports and 600 pairs). Recent is
// the present window and the one before: older drops are forgotten, so that a scan ends.
//
// Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

namespace conntally {

struct DropTarget {
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;
  std::uint32_t packets = 0;
  friend bool operator==(const DropTarget&, const DropTarget&) = default;
};

class DropTargets {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{45};
  static constexpr std::size_t kKept = 4;

  // `destination` is a hash; 0: not known.
  void Add(std::uint8_t protocol, std::uint16_t port, std::uint64_t destination, std::uint64_t packets, Time now) {
    Turn(now);
    const std::uint32_t mixed = Mixed(protocol, port);
    seen_[0].set(mixed % kBits);
    if (destination != 0) pairs_[0].set((destination ^ mixed) % kPairBits);
    const auto add = static_cast<std::uint32_t>(std::min<std::uint64_t>(packets, UINT32_MAX / 2));
    auto least = most_.begin();
    for (auto target = most_.begin(); target != most_.end(); ++target) {
      if (target->protocol == protocol && target->port == port) {
        target->packets = std::min(target->packets, UINT32_MAX / 2) + add;
        return;
      }
      if (target->packets < least->packets) least = target;
    }
    *least = {protocol, port, least->packets / 2 + add};
  }

  // The most packets first.
  std::vector<DropTarget> Most(Time now) const {
    std::vector<DropTarget> most;
    if (now - began_ >= 2 * kWindow) return most;
    std::copy_if(most_.begin(), most_.end(), std::back_inserter(most),
                 [](const DropTarget& target) { return target.packets != 0; });
    std::sort(most.begin(), most.end(), [](const auto& a, const auto& b) { return a.packets > b.packets; });
    return most;
  }
  double DistinctPorts(Time now) const { return Distinct(seen_, now); }
  double DistinctPairs(Time now) const { return Distinct(pairs_, now); }

 private:
  static constexpr std::size_t kBits = 256, kPairBits = 128;

  static std::uint32_t Mixed(std::uint8_t protocol, std::uint16_t port) {
    std::uint32_t mixed = (std::uint32_t{protocol} << 16 | port) * 0x9e3779b1U;
    mixed ^= mixed >> 15;
    mixed *= 0x85ebca77U;
    return mixed ^ mixed >> 13;
  }
  template <std::size_t kSize>
  static double Estimate(const std::bitset<kSize>& bits) {
    const auto zero = static_cast<double>(std::max<std::size_t>(kSize - bits.count(), 1));
    return kSize * std::log(kSize / zero);
  }
  template <typename Bits>
  double Distinct(const std::array<Bits, 2>& bits, Time now) const {
    if (now - began_ >= 2 * kWindow) return 0;
    const double present = Estimate(bits[0]);
    return now - began_ >= kWindow ? present : std::max(present, Estimate(bits[1]));
  }
  template <typename Bits>
  static void TurnBits(std::array<Bits, 2>& bits, bool follows) {
    bits[1] = follows ? bits[0] : Bits{};
    bits[0].reset();
  }
  void Turn(Time now) {
    if (now - began_ < kWindow) return;
    const bool follows = now - began_ < 2 * kWindow;
    TurnBits(seen_, follows);
    TurnBits(pairs_, follows);
    for (DropTarget& target : most_) target.packets = follows ? target.packets / 2 : 0;
    began_ = now;
  }

  Time began_{};
  std::array<std::bitset<kBits>, 2> seen_{};  // in the present window and in the one before
  std::array<std::bitset<kPairBits>, 2> pairs_{};
  std::array<DropTarget, kKept> most_{};
};

}  // namespace conntally
