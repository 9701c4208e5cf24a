// The rules that drop or reject the most just now: how fast each one's counter rose over the last few polls. Compares
// polls of one generation of the rules, index by index; after a change it begins anew. Pure but for its memory of
// polls; one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "collectors/rules/rule_counters.h"

namespace conntally {

struct DropRule {
  const Rule* rule = nullptr;  // of the figures that `Top` keeps alive
  std::uint64_t packets = 0;   // as /metrics has it
  double packets_per_second = 0;
};

class DropRules {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kTopMax = 20;

  struct Top {
    std::vector<DropRule> rules;  // by rate, then by packets; none that never counted a packet
    std::shared_ptr<const RuleFigures> figures;
  };

  // `figures` as of `when`, null or the same as before included.
  void Add(Time when, std::shared_ptr<const RuleFigures> figures);
  Top top() const { return top_; }

 private:
  static constexpr std::size_t kPolls = 3;
  struct Poll {
    Time when;
    std::shared_ptr<const RuleFigures> figures;
  };

  // The oldest poll of the same rules.
  const Poll* Oldest(RuleBackend backend, const std::shared_ptr<const Ruleset>& ruleset) const;

  std::deque<Poll> polls_;
  Top top_;
};

}  // namespace conntally
