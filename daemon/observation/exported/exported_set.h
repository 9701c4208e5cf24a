// Which items have their own series, by any key: those in the ranking, and those that left it less than `hold` ago. So
// an item that drops out of the ranking for one scrape neither makes its series stale nor resets an alert's `for:`.
//
// A newly ranked item is admitted once it has held its place for kPlaceHeld and the budget of new series allows it:
// proven items first, then those with at least 1 % of the total, each class by weight. At the start, while the budget
// lasts, it need not wait (series_budget.h).
//
// Pure: depends only on the rankings and the time. One owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "collectors/tally/turned_away.h"
#include "daemon/observation/exported/series_budget.h"

namespace conntally {

// For an owner whose ranking is the first `top`: up to `top` more are held.
struct TopOptions {
  std::uint32_t top = 0;
  std::chrono::milliseconds hold{0};
  std::uint32_t new_max_per_hour = 600;
};

// `Kept` is what the owner stores with each exported item.
template <typename Key, typename Kept>
class ExportedSet {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPlaceHeld{900};  // from one update to the next, a second later

  struct Options {
    std::chrono::milliseconds hold{0};
    std::size_t held_max = 0;  // bound on items that left the ranking
    std::uint32_t new_max_per_hour = 600;

    static Options Of(const TopOptions& options) { return {options.hold, options.top, options.new_max_per_hour}; }
  };
  struct Candidate {
    bool proven = false;
    double share = 0;  // of the total, in the ranking where it is largest

    SeriesBudget::Class budget_class() const {
      using Class = SeriesBudget::Class;
      constexpr double kHeavyShare = 0.01;
      return proven ? Class::kProven : share >= kHeavyShare ? Class::kHeavy : Class::kOther;
    }
  };
  struct Held {
    Clock::time_point last_ranked;
    Kept kept{};
  };

  explicit ExportedSet(Options options) : options_(options), budget_(options.new_max_per_hour) {}
  void set_options(Options options) {
    options_ = options;
    budget_.set_per_hour(options.new_max_per_hour);
  }

  // `candidates`, by key, are the items in the ranking now.
  template <typename Candidates>
  void Update(const Candidates& candidates, Clock::time_point now) {
    Admit(candidates, now);
    DropDeparted(now);
  }

  bool Holds(const Key& key) const { return held_.contains(key); }
  std::map<Key, Held>& held() { return held_; }
  const std::map<Key, Held>& held() const { return held_; }
  // Items that left the ranking and were not held for lack of room.
  std::uint64_t holds_turned_away() const { return holds_turned_away_; }
  // Ranked items without series: now; and in total, those that the budget held back, each counted once while it waits.
  std::size_t waiting() const { return waiting_.size(); }
  std::uint64_t held_back() const { return held_back_.total(); }

 private:
  template <typename Candidates>
  void Admit(const Candidates& candidates, Clock::time_point now);
  void DropDeparted(Clock::time_point now);

  Options options_;
  std::map<Key, Held> held_;
  std::uint64_t holds_turned_away_ = 0;
  SeriesBudget budget_;
  std::map<Key, Clock::time_point> waiting_;  // since when
  TurnedAway held_back_;
};

template <typename Key, typename Kept>
template <typename Candidates>
void ExportedSet<Key, Kept>::Admit(const Candidates& candidates, Clock::time_point now) {
  std::vector<const typename Candidates::value_type*> newcomers;
  for (const auto& candidate : candidates) {
    const auto held = held_.find(candidate.first);
    if (held != held_.end()) {
      held->second.last_ranked = now;
    } else {
      newcomers.push_back(&candidate);
    }
  }
  std::erase_if(waiting_, [&](const auto& waiting) { return !candidates.contains(waiting.first); });
  std::stable_sort(newcomers.begin(), newcomers.end(), [](const auto* a, const auto* b) {
    const auto place = [](const Candidate& one) { return std::pair(one.budget_class(), -one.share); };
    return place(a->second) < place(b->second);
  });
  budget_.Advance(now);
  std::uint64_t held_back = 0;
  for (const auto* newcomer : newcomers) {
    const auto& [key, candidate] = *newcomer;
    const auto since = waiting_.try_emplace(key, now).first->second;
    const bool stays = now - since >= kPlaceHeld;
    if (!budget_.Take(candidate.budget_class(), stays)) {
      if (stays) ++held_back;
      continue;
    }
    waiting_.erase(key);
    held_[key] = {now};
  }
  held_back_.EndRound(held_back);
}

template <typename Key, typename Kept>
void ExportedSet<Key, Kept>::DropDeparted(Clock::time_point now) {
  std::vector<std::pair<Clock::time_point, Key>> departed;
  for (auto entry = held_.begin(); entry != held_.end();) {
    const Clock::time_point last_ranked = entry->second.last_ranked;
    const bool expired = last_ranked != now && now - last_ranked >= options_.hold;
    if (last_ranked != now && !expired) departed.emplace_back(last_ranked, entry->first);
    entry = expired ? held_.erase(entry) : std::next(entry);
  }
  if (departed.size() <= options_.held_max) return;
  std::sort(departed.begin(), departed.end());
  const std::size_t excess = departed.size() - options_.held_max;
  for (std::size_t i = 0; i < excess; ++i) held_.erase(departed[i].second);
  holds_turned_away_ += excess;
}

}  // namespace conntally
