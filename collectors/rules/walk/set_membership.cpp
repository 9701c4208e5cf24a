#include "collectors/rules/walk/set_membership.h"

#include <algorithm>

namespace conntally {
namespace {

bool IsWithin(const AddressRange& inner, const AddressRange& outer) {
  return outer.first <= inner.first && inner.last <= outer.last;
}

}  // namespace

Match MembershipOf(const IpAddress& address, const AddressSet& set) {
  const SetElement* narrowest = nullptr;
  for (const SetElement& element : set.elements) {
    if (!element.addresses.Contains(address)) continue;
    if (narrowest == nullptr || IsWithin(element.addresses, narrowest->addresses)) narrowest = &element;
  }
  if (narrowest != nullptr) return Known(!narrowest->no_match);
  return set.complete || address.family != set.address_family ? Match::kNo : Match::kMaybe;
}

const AddressSet* FindSet(const Rule& rule, const RuleCondition& condition, const std::vector<AddressSet>* sets,
                          const std::vector<AddressSet>* ipsets) {
  const std::vector<AddressSet>* list = condition.ipset ? ipsets : sets;
  if (list == nullptr) return nullptr;
  const auto found = std::find_if(list->begin(), list->end(), [&](const AddressSet& set) {
    return set.name == condition.set && (condition.ipset || (set.family == rule.family && set.table == rule.table));
  });
  return found != list->end() ? &*found : nullptr;
}

}  // namespace conntally
