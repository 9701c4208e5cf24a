// Whether an address is in a set, as far as its elements are known: the only place that decides this. Pure; one thread
// at a time.
//
// Elements of an ipset may nest, and the narrowest that contains the address decides; it may be an exception
// (`nomatch`). The kernel looks prefixes up from the longest to the shortest, so the order of adding does not matter.
//
// Source: net/netfilter/ipset/ip_set_hash_gen.h, mtype_test_cidrs(); net/netfilter/nft_set_rbtree.c.
#pragma once

#include <optional>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/rules/address_set.h"
#include "collectors/rules/rule.h"
#include "collectors/rules/walk/match/match.h"

namespace conntally {

Match MembershipOf(const IpAddress& address, const AddressSet& set);

// The same for many addresses: after a few calls it sorts the elements. The set must outlive it.
class SetMembership {
 public:
  explicit SetMembership(const AddressSet& set) : set_(set) {}
  Match Of(const IpAddress& address);

 private:
  struct Sorted {
    AddressRanges elements;
    AddressRanges exceptions;
  };
  static constexpr int kAskedUnsortedMax = 8;

  const AddressSet& set_;
  int asked_ = 0;
  std::optional<Sorted> sorted_;
};

// The set that a condition of the rule names; nullptr if it was not read. Either list may be null.
const AddressSet* FindSet(const Rule& rule, const RuleCondition& condition, const std::vector<AddressSet>* sets,
                          const std::vector<AddressSet>* ipsets);

}  // namespace conntally
