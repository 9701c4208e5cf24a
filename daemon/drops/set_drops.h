// Who was dropped as sets with counters tell: nftables' sets keyed by the source's address, and ipsets, whose elements
// count packets, in rules that drop. From one reading of the rules to the next, an element's counter rises by the
// packets dropped.
//
// An element counts the look-ups that found it. These are the dropped packets only where the look-up is the last thing
// that the one rule which looks there asks of a packet; sets that several rules use, or that a rule's other conditions
// follow, tell nothing here.
//
// What an element showed when its set, or the rule, was first seen is old. One that comes later counts from zero; one
// that fell was deleted and added again meanwhile, and counted from zero, too.
//
// Threads: one owner.
//
// Sources: net/netfilter/nft_lookup.c, nft_dynset.c (nft_set_elem_update_expr); net/netfilter/ipset/ip_set_core.c
// (ip_set_match_extensions).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "collectors/drops/drop_tally.h"
#include "collectors/rules/rule_counters.h"
#include "collectors/tally/turned_away.h"

namespace conntally {

class SetDrops {
 public:
  static constexpr std::size_t kElementsMax = 262'144;  // over all sets

  // An element that reaches over several groups is nobody's.
  explicit SetDrops(SourceGrouping grouping) : grouping_(grouping) {}

  // Whether sets were read since the last Take, or rules.
  bool HasNews(const RuleFigures& figures) const;
  // What the sets counted since the reading before.
  std::vector<SetCountedDrop> Take(const RuleFigures& figures);
  // Whether any set counts drops, as of the last reading.
  bool any() const { return !known_.empty(); }
  // Elements that there was no room for, of which nothing is told; one that has none in many readings counts once.
  std::uint64_t turned_away() const { return turned_away_.total(); }

 private:
  // The rule that looks into the set: backend, family, table, handle, text; and the set.
  using Key = std::tuple<RuleBackend, RuleFamily, std::string, std::uint64_t, std::string, std::string>;
  struct AddressHash {
    std::size_t operator()(const IpAddress& address) const;
  };
  using Counters = std::unordered_map<IpAddress, std::uint64_t, AddressHash>;  // packets, by an element's first address
  struct CountingRules {
    std::shared_ptr<const Ruleset> ruleset;               // of which they were found
    std::shared_ptr<const std::vector<AddressSet>> sets;  // as they were last read
    std::vector<std::size_t> rules;                       // indexes
  };

  void FindCountingRules(const RuleFigures& figures);
  void TakeSet(const Key& key, const AddressSet& set, std::vector<SetCountedDrop>& drops);
  bool IsOfOneSource(const SetElement& element) const;

  const SourceGrouping grouping_;
  std::map<RuleBackend, CountingRules> counting_;
  std::shared_ptr<const std::vector<AddressSet>> ipsets_;
  std::map<Key, Counters> known_;
  std::size_t elements_ = 0;  // in known_ while it is being made anew
  std::map<Key, Counters> next_;
  std::size_t left_out_ = 0;  // likewise: elements that there was no room for
  bool knows_all_ = true;     // none was left out the last time
  TurnedAway turned_away_;
};

}  // namespace conntally
