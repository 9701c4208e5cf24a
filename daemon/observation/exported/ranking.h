// The first N by a value, ties by address. Memory is bounded by N, not by the number entered. One owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "collectors/addresses/address.h"

namespace conntally {

template <typename Payload>
class Ranking {
 public:
  struct Entry {
    double value;
    IpAddress source;
    Payload payload;
    bool operator<(const Entry& other) const {
      return value != other.value ? value > other.value : source < other.source;
    }
  };

  explicit Ranking(std::size_t top) : top_(top) {}

  // Whether an entry of this value may rank; if not, its source need not be looked up.
  bool MayRank(double value) const { return value > 0 && top_ > 0 && !(least_ && value < least_->first); }

  // `make` creates the payload of an entry that ranks.
  template <typename Make>
  void Enter(double value, const IpAddress& source, Make&& make) {
    if (!MayRank(value) || (least_ && value == least_->first && !(source < least_->second))) return;
    entries_.push_back({value, source, make()});
    if (entries_.size() >= 2 * top_) Cut();
  }

  // In no order.
  std::vector<Entry> Take() {
    if (entries_.size() > top_) Cut();
    return std::move(entries_);
  }

 private:
  void Cut() {
    const auto last = entries_.begin() + static_cast<std::ptrdiff_t>(top_) - 1;
    std::nth_element(entries_.begin(), last, entries_.end());
    least_ = {last->value, last->source};
    entries_.erase(last + 1, entries_.end());
  }

  std::size_t top_;
  std::optional<std::pair<double, IpAddress>> least_;  // an entry that does not come before it does not rank
  std::vector<Entry> entries_;
};

}  // namespace conntally
