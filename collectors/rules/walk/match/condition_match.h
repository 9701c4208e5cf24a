// Whether a rule matches a packet that may be only partly known: yes, no, or unknown with the reason. Depends only on
// the readings; one thread at a time.
#pragma once

#include <map>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/walk/match/match.h"
#include "collectors/rules/walk/match/packet.h"
#include "collectors/rules/walk/match/set_membership.h"

namespace conntally {

class ConditionMatcher {
 public:
  // For the rules of this reading. With `before`, the packet passed between the two readings: of a set that packets or
  // programs fill, only membership in both counts. Both must outlive the matcher.
  explicit ConditionMatcher(const FirewallReading& reading, const FirewallReading* before = nullptr);
  // For one backend only; `ipsets` may be null.
  ConditionMatcher(const BackendReading& reading, const std::vector<AddressSet>* ipsets);

  // All conditions of the rule, without its limits and its map.
  Answer Conditions(const Rule& rule, const Packet& packet) const;
  // The key of a verdict map's element.
  Answer Key(const Rule& rule, const MappedVerdict& mapped, const Packet& packet) const;
  Answer Condition(const Rule& rule, const RuleCondition& condition, const Packet& packet) const;

  // nullptr: the set was not read.
  const AddressSet* SetOf(const Rule& rule, const RuleCondition& condition) const;

 private:
  // By ipset or not, family (of nftables'), table, name.
  using SetKey = std::tuple<bool, RuleFamily, std::string_view, std::string_view>;
  using Sets = std::map<SetKey, const AddressSet*>;
  static Sets SetsOf(const FirewallReading& reading);
  static void Add(const std::vector<AddressSet>* from, Sets& sets);
  static SetKey KeyOf(const Rule& rule, const RuleCondition& condition);

  Answer Holds(const Rule& rule, const RuleCondition& condition, const Packet& packet) const;
  Answer InSet(const Rule& rule, const RuleCondition& condition, const std::optional<IpAddress>& address,
               Why unknown) const;
  Match MembershipIn(const AddressSet& set, const IpAddress& address) const;

  Sets sets_;
  bool between_ = false;  // two readings
  Sets sets_before_;
  mutable std::unordered_map<const AddressSet*, SetMembership> memberships_;
};

}  // namespace conntally
