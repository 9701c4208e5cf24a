// Which sources' packets each rule dropped: the sources' drops, by rule. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "collectors/drops/drop_tally.h"
#include "collectors/rules/rule.h"

namespace conntally {

struct RuleSource {
  IpAddress source;
  DropVia via = DropVia::kEbpf;
  std::uint64_t packets = 0;
};

class RuleSources {
 public:
  static constexpr std::size_t kTop = 10;  // sources per rule

  RuleSources() = default;
  explicit RuleSources(const std::vector<SourceDrops>& drops);

  // The first kTop sources by packets. Drops name a rule by its text or its log prefix, so rules with the same text
  // share them.
  std::vector<RuleSource> Of(const Rule& rule) const;

 private:
  std::unordered_map<std::string, std::vector<RuleSource>> by_name_;  // text or prefix
};

}  // namespace conntally
