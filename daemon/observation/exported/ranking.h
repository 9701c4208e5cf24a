// The first N by a value, ties by key. Memory is bounded by N, not by the number entered. One owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace conntally {

template <typename Key, typename Payload = std::monostate>
class Ranking {
 public:
  struct Entry {
    double value;
    Key key;
    Payload payload;
    bool operator<(const Entry& other) const { return value != other.value ? value > other.value : key < other.key; }
  };

  explicit Ranking(std::size_t top) : top_(top) {}

  // Whether it may rank; if not, nothing else of it need be looked up.
  bool MayRank(double value, const Key& key) const {
    return value > 0 && top_ > 0 &&
           (!least_ || value > least_->first || (value == least_->first && key < least_->second));
  }

  void Enter(double value, const Key& key, Payload payload = {}) {
    if (!MayRank(value, key)) return;
    entries_.push_back({value, key, std::move(payload)});
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
    least_ = {last->value, last->key};
    entries_.erase(last + 1, entries_.end());
  }

  std::size_t top_;
  std::optional<std::pair<double, Key>> least_;  // an entry that does not come before it does not rank
  std::vector<Entry> entries_;
};

}  // namespace conntally
