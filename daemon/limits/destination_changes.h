// What destination NAT may do to connections before a rule sees them: it sees another destination then than the
// connection's original tuple has. Pure; any thread.
#pragma once

#include <optional>
#include <vector>

#include "collectors/rules/rule_counters.h"

namespace conntally {

class DestinationChanges {
 public:
  explicit DestinationChanges(const RuleFigures& figures);

  // The ports that connections asked for of which a rule sees one of these; nullopt: perhaps any.
  std::optional<std::vector<NumberRange>> AskedAs(const std::vector<NumberRange>& seen) const;
  // Whether all that asked for one of these ports is seen with it.
  bool KeepPorts(const std::vector<NumberRange>& asked) const;
  // Whether the original tuple tells of a condition on the destination's address: exactly, or of no less than it holds
  // for where `at_most` will do.
  bool KeepAddresses(const RuleCondition& condition, bool at_most) const;

 private:
  struct PortChange {
    std::vector<NumberRange> from;  // empty: any
    std::optional<NumberRange> to;  // absent: not known
  };
  void Add(const Rule& rule);
  // To what satisfies the conditions.
  void Give(const std::vector<RuleCondition>& conditions, const std::optional<AddressRange>& addresses,
            const std::optional<NumberRange>& ports);

  std::vector<PortChange> ports_;
  std::vector<std::optional<AddressRange>> addresses_;  // that it gives; absent: not known
};

}  // namespace conntally
