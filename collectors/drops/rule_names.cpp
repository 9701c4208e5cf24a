#include "collectors/drops/rule_names.h"

#include <algorithm>
#include <cassert>

namespace conntally {

const std::string RuleNames::kNone;

RuleName RuleNames::Of(const std::string& text) {
  if (text.empty()) return 0;
  const auto [known, added] = by_text_.try_emplace(text, 0);
  if (added) {
    assert(by_text_.size() <= kMax);
    if (free_.empty()) {
      free_.push_back(static_cast<RuleName>(slots_.size()));
      slots_.emplace_back();
    }
    known->second = free_.back();
    free_.pop_back();
    slots_[known->second].text = &known->first;
  }
  slots_[known->second].asked = ++asked_;
  return known->second;
}

RuleNames::Names RuleNames::MakeRoom(const Names& in_use) {
  std::vector<RuleName> oldest;  // unused ones first, then the least recently used
  for (RuleName name = 1; name < slots_.size(); ++name) {
    if (slots_[name].text != nullptr) oldest.push_back(name);
  }
  const auto unused_end = std::partition(oldest.begin(), oldest.end(), [&](RuleName name) { return !in_use[name]; });
  const auto wanted_end = oldest.begin() + static_cast<std::ptrdiff_t>((oldest.size() + 7) / 8);
  if (unused_end < wanted_end) {
    std::nth_element(unused_end, wanted_end, oldest.end(),
                     [&](RuleName a, RuleName b) { return slots_[a].asked < slots_[b].asked; });
  }
  oldest.erase(std::max(unused_end, wanted_end), oldest.end());
  Names forgotten(slots_.size());
  for (const RuleName name : oldest) {
    forgotten[name] = true;
    slots_[name] = {};
    free_.push_back(name);
  }
  std::erase_if(by_text_, [&](const auto& known) { return forgotten[known.second]; });
  return forgotten;
}

}  // namespace conntally
