#include "daemon/rules/drop_rules.h"

#include <algorithm>
#include <tuple>

namespace conntally {

const DropRules::Poll* DropRules::Oldest(RuleBackend backend, const std::shared_ptr<const Ruleset>& ruleset) const {
  for (const Poll& poll : polls_) {
    const auto found = poll.figures->backends.find(backend);
    if (found != poll.figures->backends.end() && found->second.snapshot.ruleset == ruleset) return &poll;
  }
  return nullptr;
}

void DropRules::Add(Time when, std::shared_ptr<const RuleFigures> figures) {
  if (!figures || (!polls_.empty() && polls_.back().figures == figures)) return;
  polls_.push_back({when, figures});
  if (polls_.size() > kPolls) polls_.pop_front();

  std::vector<DropRule> found;
  for (const auto& [backend, now] : figures->backends) {
    const auto& ruleset = now.snapshot.ruleset;
    if (!ruleset) continue;
    const Poll* oldest = Oldest(backend, ruleset);
    const double seconds = oldest != nullptr ? std::chrono::duration<double>(when - oldest->when).count() : 0;
    for (std::size_t i = 0; i < std::min(ruleset->rules.size(), now.totals.size()); ++i) {
      const Rule& rule = ruleset->rules[i];
      if (rule.verdict != Verdict::kDrop && rule.verdict != Verdict::kReject) continue;
      const auto& counter = now.totals[i].counter;
      if (!counter || counter->packets == 0) continue;
      DropRule& drop_rule = found.emplace_back(DropRule{&rule, counter->packets, 0});
      if (seconds <= 0) continue;
      const auto& totals = oldest->figures->backends.at(backend).totals;
      if (i >= totals.size() || !totals[i].counter || totals[i].counter->packets > counter->packets) continue;
      drop_rule.packets_per_second = static_cast<double>(counter->packets - totals[i].counter->packets) / seconds;
    }
  }
  const std::size_t count = std::min(found.size(), kTopMax);
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count), found.end(),
                    [](const DropRule& a, const DropRule& b) {
                      return std::tie(a.packets_per_second, a.packets) > std::tie(b.packets_per_second, b.packets);
                    });
  found.resize(count);
  top_ = {std::move(found), std::move(figures)};
}

}  // namespace conntally
