// Which of many things have series of their own, where they are known by a key and ranked by whoever looks at them: the
// first of them, and those that left the ranking less than `hold` ago, so that no series goes stale because one dipped
// out of it for one scrape. A newcomer is admitted once it holds its place for kPlaceHeld and the budget of new series
// allows it; at the start, while there is budget to spare, it need not wait (series_budget.h).
//
// As many of those that left are held as may be in the ranking. One owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "collectors/tally/turned_away.h"
#include "daemon/observation/series_budget.h"

namespace conntally {

template <typename Key>
class ExportedKeys {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPlaceHeld{900};  // from one look of each second to the next

  struct Options {
    std::uint32_t top = 0;  // how many rank at most
    std::chrono::milliseconds hold{0};
    std::uint32_t new_max_per_hour = 600;
  };
  struct Ranked {
    Key key;
    SeriesBudget::Class budget_class = SeriesBudget::Class::kOther;
  };

  explicit ExportedKeys(Options options) : options_(options), budget_(options.new_max_per_hour) {}
  void set_options(Options options) {
    options_ = options;
    budget_.set_per_hour(options.new_max_per_hour);
  }

  // `ranked`: in their order; those beyond the first `top` are passed over.
  void Update(std::vector<Ranked> ranked, Clock::time_point now) {
    if (ranked.size() > options_.top) ranked.resize(options_.top);
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const Ranked& one, const Ranked& other) { return one.budget_class < other.budget_class; });
    budget_.Advance(now);
    std::uint64_t held_back = 0;
    std::set<Key> keys;
    for (const Ranked& each : ranked) {
      keys.insert(each.key);
      if (const auto held = exported_.find(each.key); held != exported_.end()) {
        held->second = now;
        continue;
      }
      const bool stays = now - waiting_.try_emplace(each.key, now).first->second >= kPlaceHeld;
      if (!budget_.Take(each.budget_class, stays)) {
        if (stays) ++held_back;
        continue;
      }
      waiting_.erase(each.key);
      exported_[each.key] = now;
    }
    std::erase_if(waiting_, [&](const auto& waiting) { return !keys.contains(waiting.first); });
    held_back_.EndRound(held_back);
    DropDeparted(now);
  }

  // When each was last in the ranking.
  const std::map<Key, Clock::time_point>& exported() const { return exported_; }
  std::uint64_t holds_turned_away() const { return holds_turned_away_; }
  std::uint64_t held_back() const { return held_back_.total(); }

 private:
  void DropDeparted(Clock::time_point now) {
    std::vector<std::pair<Clock::time_point, Key>> departed;
    std::erase_if(exported_,
                  [&](const auto& each) { return each.second != now && now - each.second >= options_.hold; });
    for (const auto& [key, last_ranked] : exported_) {
      if (last_ranked != now) departed.emplace_back(last_ranked, key);
    }
    if (departed.size() <= options_.top) return;
    std::sort(departed.begin(), departed.end());
    departed.resize(departed.size() - options_.top);
    for (const auto& [last_ranked, key] : departed) exported_.erase(key);
    holds_turned_away_ += departed.size();
  }

  Options options_;
  SeriesBudget budget_;
  std::map<Key, Clock::time_point> exported_;
  std::map<Key, Clock::time_point> waiting_;  // since when
  TurnedAway held_back_;
  std::uint64_t holds_turned_away_ = 0;
};

}  // namespace conntally
