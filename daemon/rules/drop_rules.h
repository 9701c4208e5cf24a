// The rules that drop or reject the most now, by how fast their counters rose over the last few polls. Compares polls
// of one ruleset generation, index by index; after a change it starts again. Pure except for its stored polls; one
// owner.
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
  const Rule* rule = nullptr;  // `Top` keeps its figures alive
  std::uint64_t packets = 0;   // as /metrics has it
  double packets_per_second = 0;
};

class DropRules {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kTopMax = 20;

  struct Top {
    std::vector<DropRule> rules;  // by rate, then by packets; only rules that counted a packet
    std::shared_ptr<const RuleFigures> figures;
  };

  // `figures` at `when`; may be null, or the same as before.
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
