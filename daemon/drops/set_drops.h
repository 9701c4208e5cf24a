// Which sources were dropped, from sets with counters: nftables sets keyed by the source's address, and ipsets, whose
// elements count packets, in rules that drop. Between two readings of the rules, an element's counter rises by the
// packets dropped.
//
// An element counts the look-ups that found it. These equal the dropped packets only if a single rule uses the set, and
// the look-up is that rule's last condition. Other sets are ignored here.
//
// An element's counter when its set or the rule is first seen is not a rise. An element that appears later counts from
// zero. An element whose counter fell was deleted and added again, so it also counts from zero.
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

  // An element that spans several groups belongs to no source.
  explicit SetDrops(SourceGrouping grouping) : grouping_(grouping) {}

  // Whether sets or rules were read since the last Take.
  bool HasNews(const RuleFigures& figures) const;
  // What the sets counted since the previous reading.
  std::vector<SetCountedDrop> Take(const RuleFigures& figures);
  // Whether any set counts drops, as of the last reading.
  bool any() const { return !known_.empty(); }
  // Elements without room, whose drops are unknown; an element that stays without room counts once.
  std::uint64_t turned_away() const { return turned_away_.total(); }

 private:
  // The rule that looks into the set: backend, family, table, handle, text; and the set.
  using Key = std::tuple<RuleBackend, RuleFamily, std::string, std::uint64_t, std::string, std::string>;
  struct AddressHash {
    std::size_t operator()(const IpAddress& address) const;
  };
  using Counters = std::unordered_map<IpAddress, std::uint64_t, AddressHash>;  // packets, by an element's first address
  struct CountingRules {
    std::shared_ptr<const Ruleset> ruleset;               // in which the counting sets were found
    std::shared_ptr<const std::vector<AddressSet>> sets;  // as last read
    std::vector<std::size_t> rules;                       // indexes
  };

  void FindCountingRules(const RuleFigures& figures);
  void TakeSet(const Key& key, const AddressSet& set, std::vector<SetCountedDrop>& drops);
  bool IsOfOneSource(const SetElement& element) const;

  const SourceGrouping grouping_;
  std::map<RuleBackend, CountingRules> counting_;
  std::shared_ptr<const std::vector<AddressSet>> ipsets_;
  std::map<Key, Counters> known_;
  std::size_t elements_ = 0;  // in known_ while it is rebuilt
  std::map<Key, Counters> next_;
  std::size_t left_out_ = 0;  // elements without room, while known_ is rebuilt
  bool knows_all_ = true;     // no element was left out the last time
  TurnedAway turned_away_;
};

}  // namespace conntally
