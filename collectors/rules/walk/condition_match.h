// Whether a rule takes a packet of which not everything need be known: yes, no, or nobody can tell, and then why not.
// Pure of the snapshot; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/walk/match.h"
#include "collectors/rules/walk/packet.h"

namespace conntally {

class ConditionMatcher {
 public:
  // The snapshot must outlive it.
  explicit ConditionMatcher(const FirewallReading& snapshot);

  // All conditions of the rule, its limits and its map aside. `why` is set when nobody can tell.
  Match Conditions(const Rule& rule, const Packet& packet, std::string& why) const;
  // What a verdict map's element asks.
  Match Key(const Rule& rule, const MappedVerdict& mapped, const Packet& packet, std::string& why) const;
  Match Condition(const Rule& rule, const RuleCondition& condition, const Packet& packet, std::string& why) const;

 private:
  Match Holds(const Rule& rule, const RuleCondition& condition, const Packet& packet, std::string& why) const;
  Match InSet(const Rule& rule, const RuleCondition& condition, const std::optional<IpAddress>& address,
              std::string& why) const;

  // By ipset or not, family (of nftables'), table, name.
  std::map<std::tuple<bool, RuleFamily, std::string, std::string>, const AddressSet*> sets_;
};

}  // namespace conntally
