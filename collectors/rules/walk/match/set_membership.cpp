#include "collectors/rules/walk/match/set_membership.h"

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

bool IsWithin(const AddressRange& inner, const AddressRange& outer) {
  return outer.first <= inner.first && inner.last <= outer.last;
}

// The answer for an address that no element contains.
Match Absent(const IpAddress& address, const AddressSet& set) {
  return set.complete || address.family != set.address_family ? Match::kNo : Match::kMaybe;
}

}  // namespace

Match MembershipOf(const IpAddress& address, const AddressSet& set) {
  const SetElement* narrowest = nullptr;
  for (const SetElement& element : set.elements) {
    if (!element.addresses.Contains(address)) continue;
    if (narrowest == nullptr || IsWithin(element.addresses, narrowest->addresses)) narrowest = &element;
  }
  if (narrowest != nullptr) return Known(!narrowest->no_match);
  return Absent(address, set);
}

Match SetMembership::Of(const IpAddress& address) {
  if (!sorted_ && ++asked_ <= kAskedUnsortedMax) return MembershipOf(address, set_);
  if (!sorted_) {
    std::vector<AddressRange> elements, exceptions;
    for (const SetElement& element : set_.elements)
      (element.no_match ? exceptions : elements).push_back(element.addresses);
    sorted_ = {AddressRanges(std::move(elements)), AddressRanges(std::move(exceptions))};
  }
  // Among nested elements the narrowest decides, which sorted ranges do not show.
  if (sorted_->exceptions.Contains(address)) return MembershipOf(address, set_);
  return sorted_->elements.Contains(address) ? Match::kYes : Absent(address, set_);
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
