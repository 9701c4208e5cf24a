#include "daemon/rules/rule_sources.h"

#include <algorithm>

#include "collectors/rules/rule_counters.h"

namespace conntally {
namespace {

void KeepTop(std::vector<RuleSource>& sources) {
  const auto middle = sources.begin() + static_cast<std::ptrdiff_t>(std::min(sources.size(), RuleSources::kTop));
  std::partial_sort(sources.begin(), middle, sources.end(), [](const RuleSource& a, const RuleSource& b) {
    return a.packets != b.packets ? a.packets > b.packets : a.source < b.source;
  });
  sources.erase(middle, sources.end());
}

}  // namespace

RuleSources::RuleSources(const std::vector<SourceDrops>& drops) {
  for (const SourceDrops& of_source : drops) {
    for (const DropShare& share : of_source.shares) {
      if (!share.rule.empty()) by_name_[share.rule].push_back({of_source.source, share.via, share.packets});
    }
  }
  for (auto& [name, sources] : by_name_) KeepTop(sources);
}

std::vector<RuleSource> RuleSources::Of(const Rule& rule) const {
  std::vector<RuleSource> sources;
  const auto take = [&](const std::string& name) {
    if (const auto found = by_name_.find(name); found != by_name_.end())
      sources.insert(sources.end(), found->second.begin(), found->second.end());
  };
  const std::string text = RuleLabel(rule.text);
  const std::string prefix = rule.log_prefix.substr(0, rule.log_prefix.find_last_not_of(' ') + 1);
  take(text);
  if (!prefix.empty() && prefix != text) take(prefix);
  KeepTop(sources);
  return sources;
}

}  // namespace conntally
