// Counts what a bound turns away where all is looked at anew in each round: what found no room in the round before and
// finds none again is counted once, and the count never falls. One owner.
#pragma once

#include <cstdint>

namespace conntally {

class TurnedAway {
 public:
  // How many this round had no room for.
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
