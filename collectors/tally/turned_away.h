// Counts what a bound turns away, for owners that start again in each round: an item without room in the last round and
// in this one counts once, and the count never decreases. One owner.
#pragma once

#include <cstdint>

namespace conntally {

class TurnedAway {
 public:
  // How many items had no room in this round.
  void EndRound(std::uint64_t turned_away) {
    if (turned_away > last_) total_ += turned_away - last_;
    last_ = turned_away;
  }
  std::uint64_t total() const { return total_; }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace conntally
