#include "daemon/drops/set_drops.h"

#include <algorithm>
#include <string_view>

#include "collectors/rules/walk/match/set_membership.h"

namespace conntally {
namespace {

// How often a text has `name` as a whole word after `before`.
std::size_t Mentions(std::string_view text, std::string_view before, std::string_view name) {
  const std::string wanted = std::string(before).append(name);
  std::size_t count = 0;
  for (std::size_t at = text.find(wanted); at != text.npos; at = text.find(wanted, at + 1)) {
    const std::size_t end = at + wanted.size();
    if (end == text.size() || text[end] == ' ' || text[end] == '"') ++count;
  }
  return count;
}

// For nftables' sets searches one table, for ipsets all rules.
std::size_t Mentions(const Ruleset& ruleset, const Rule& counting) {
  std::size_t count = 0;
  for (const Rule& rule : ruleset.rules) {
    if (counting.counting_ipset) {
      count += Mentions(rule.text, "-set ", counting.counting_set);  // --match-set, --add-set ...
    } else if (rule.family == counting.family && rule.table == counting.table) {
      count += Mentions(rule.text, "@", counting.counting_set) + Mentions(rule.text, "meter ", counting.counting_set);
    }
  }
  return count;
}

}  // namespace

std::size_t SetDrops::AddressHash::operator()(const IpAddress& address) const {
  // No secret is needed: elements come from the kernel, few can choose them, and the table is bounded.
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size()});
}

// The wait for logs counts readings, so an unchanged reading does not count.
bool SetDrops::HasNews(const RuleFigures& figures) const {
  if (figures.ipsets != ipsets_ || figures.backends.size() != counting_.size()) return true;
  return std::any_of(figures.backends.begin(), figures.backends.end(), [&](const auto& backend) {
    const auto known = counting_.find(backend.first);
    const BackendReading& read = backend.second.snapshot;
    return known == counting_.end() || known->second.ruleset != read.ruleset || known->second.sets != read.sets;
  });
}

std::vector<SetCountedDrop> SetDrops::Take(const RuleFigures& figures) {
  FindCountingRules(figures);
  ipsets_ = figures.ipsets;
  for (auto& [backend, counting] : counting_) counting.sets = figures.backends.at(backend).snapshot.sets;
  std::vector<SetCountedDrop> drops;
  next_.clear();
  elements_ = left_out_ = 0;
  const bool ipset_of_ipsets =
      figures.ipsets != nullptr &&
      std::any_of(figures.ipsets->begin(), figures.ipsets->end(), [](const AddressSet& set) { return set.of_sets; });
  for (const auto& [backend, counting] : counting_) {
    const BackendReading& snapshot = figures.backends.at(backend).snapshot;
    for (const std::size_t index : counting.rules) {
      const Rule& rule = counting.ruleset->rules[index];
      const Key key{backend, rule.family, rule.table, rule.handle, rule.text, rule.counting_set};
      RuleCondition named;
      named.set = rule.counting_set;
      named.ipset = rule.counting_ipset;
      const AddressSet* set = FindSet(rule, named, snapshot.sets.get(), figures.ipsets.get());
      if (set != nullptr && set->complete) {
        if (!set->ipset || !ipset_of_ipsets) TakeSet(key, *set, drops);
      } else if (auto known = known_.extract(key)) {  // not read this time
        elements_ += known.mapped().size();
        next_.insert(std::move(known));
      }
    }
  }
  known_ = std::move(next_);
  turned_away_.EndRound(left_out_);
  knows_all_ = left_out_ == 0;
  return drops;
}

void SetDrops::FindCountingRules(const RuleFigures& figures) {
  std::erase_if(counting_, [&](const auto& known) { return !figures.backends.contains(known.first); });
  bool changed = false;
  for (const auto& [backend, of_backend] : figures.backends) {
    CountingRules& counting = counting_[backend];
    changed = changed || counting.ruleset != of_backend.snapshot.ruleset;
    counting.ruleset = of_backend.snapshot.ruleset;
  }
  if (!changed) return;
  for (auto& [backend, counting] : counting_) {
    counting.rules.clear();
    for (std::size_t i = 0; counting.ruleset != nullptr && i < counting.ruleset->rules.size(); ++i) {
      const Rule& rule = counting.ruleset->rules[i];
      if (rule.counting_set.empty() || (rule.verdict != Verdict::kDrop && rule.verdict != Verdict::kReject)) continue;
      std::size_t mentions = 0;
      for (const auto& [other, of_other] : counting_) {
        if (of_other.ruleset != nullptr && (rule.counting_ipset || other == backend))
          mentions += Mentions(*of_other.ruleset, rule);
      }
      if (mentions == 1) counting.rules.push_back(i);
    }
  }
}

bool SetDrops::IsOfOneSource(const SetElement& element) const {
  const AddressRange& range = element.addresses;
  return grouping_.GroupOf(range.first) == grouping_.GroupOf(range.last);
}

void SetDrops::TakeSet(const Key& key, const AddressSet& set, std::vector<SetCountedDrop>& drops) {
  const bool counts = std::any_of(set.elements.begin(), set.elements.end(),
                                  [](const SetElement& element) { return element.counter.has_value(); });
  const auto before = known_.find(key);
  if (!counts && !set.elements.empty()) return;
  Counters& counters = next_[key];
  for (const SetElement& element : set.elements) {
    if (!element.counter || element.no_match || !IsOfOneSource(element)) continue;
    if (elements_ >= kElementsMax) {
      ++left_out_;
      continue;
    }
    ++elements_;
    const std::uint64_t packets = element.counter->packets;
    counters[element.addresses.first] = packets;
    if (before == known_.end()) continue;  // unknown since when it counts
    const auto last = before->second.find(element.addresses.first);
    if (last == before->second.end() && !knows_all_) continue;  // it may have been left out
    const std::uint64_t counted =
        last != before->second.end() && last->second <= packets ? packets - last->second : packets;
    if (counted != 0) drops.push_back({element.addresses.first, RuleLabel(std::get<4>(key)), counted});
  }
}

}  // namespace conntally
