// Holds back repeated log lines, so that a frequent fault does not drown other lines. One owner, or under the owner's
// lock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace conntally {

// Lines that differ only in their digits count as one repeated line. `burst` of them are written, since each may be
// about another address; the others are held back until kPause after the first. Its memory is bounded: when it is full,
// it forgets all lines, and each may be written again.
class RepeatLimit {
 public:
  using Time = std::chrono::system_clock::time_point;
  static constexpr std::size_t kLinesMax = 1000;
  static constexpr std::chrono::seconds kPause{10};

  struct Verdict {
    bool write = true;
    std::uint64_t held_back = 0;  // before it
  };

  explicit RepeatLimit(unsigned burst) : burst_(burst) {}

  Verdict Judge(std::string_view line, Time now) {
    std::string shape = ShapeOf(line);
    if (seen_.size() >= kLinesMax && !seen_.contains(shape)) seen_.clear();
    const auto [entry, added] = seen_.try_emplace(std::move(shape), Seen{now, 1, 0});
    if (added) return {};
    // A clock that was set back must not silence a line until it has caught up.
    Seen& seen = entry->second;
    if (now < seen.since || now - seen.since >= kPause) {
      const std::uint64_t held_back = seen.held_back;
      seen = {now, 1, 0};
      return {true, held_back};
    }
    if (seen.written < burst_) {
      ++seen.written;
      return {};
    }
    ++seen.held_back;
    return {.write = false};
  }

 private:
  struct Seen {
    Time since;
    unsigned written = 0;  // since then
    std::uint64_t held_back = 0;
  };

  static std::string ShapeOf(std::string_view line) {
    std::string shape;
    std::copy_if(line.begin(), line.end(), std::back_inserter(shape), [](char c) { return c < '0' || c > '9'; });
    return shape;
  }

  const unsigned burst_;
  std::unordered_map<std::string, Seen> seen_;
};

}  // namespace conntally
