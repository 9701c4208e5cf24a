// What destination NAT may change before a rule sees a connection: the rule then sees another destination than the
// original tuple has. Pure; any thread.
#pragma once

#include <optional>
#include <vector>

#include "collectors/rules/rule_counters.h"

namespace conntally {

class DestinationChanges {
 public:
  explicit DestinationChanges(const RuleFigures& figures);

  // The original destination ports of connections that a rule sees with one of the ports `seen`; nullopt: perhaps any.
  std::optional<std::vector<NumberRange>> AskedAs(const std::vector<NumberRange>& seen) const;
  // Whether a rule sees all connections to these original ports with the same port.
  bool KeepPorts(const std::vector<NumberRange>& asked) const;
  // Whether the original tuple decides a condition on the destination's address. With `at_most`, it suffices if the
  // tuple matches whenever the condition does.
  bool KeepAddresses(const RuleCondition& condition, bool at_most) const;

 private:
  struct PortChange {
    std::vector<NumberRange> from;  // empty: any
    std::optional<NumberRange> to;  // absent: not known
  };
  void Add(const Rule& rule);
  // Records the NAT of packets that satisfy the conditions.
  void Give(const std::vector<RuleCondition>& conditions, const std::optional<AddressRange>& addresses,
            const std::optional<NumberRange>& ports);

  std::vector<PortChange> ports_;
  std::vector<std::optional<AddressRange>> addresses_;  // that NAT assigns; absent: not known
};

}  // namespace conntally
