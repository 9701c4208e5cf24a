// Ranges of addresses and numbers as values, both ends included. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "collectors/addresses/address.h"

namespace conntally {

// Both ends are of one family.
struct AddressRange {
  IpAddress first;
  IpAddress last;
  bool Contains(const IpAddress& address) const {
    return address.family == first.family && first <= address && address <= last;
  }
  friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

struct NumberRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  bool Contains(std::uint32_t number) const { return first <= number && number <= last; }
  friend bool operator==(const NumberRange&, const NumberRange&) = default;
};

// All addresses of a prefix.
AddressRange RangeOf(const Prefix& prefix);

// A set of addresses of both families, searched by bisection.
class AddressRanges {
 public:
  AddressRanges() = default;
  // In any order; they may overlap.
  explicit AddressRanges(std::vector<AddressRange> ranges);

  bool Contains(const IpAddress& address) const { return Holding({address, address}); }
  // Whether all of the range is in it; whether a part of it is.
  bool Holding(const AddressRange& range) const;
  bool Meeting(const AddressRange& range) const;
  // Whether the two sets have an address in common.
  bool Meeting(const AddressRanges& other) const {
    return std::any_of(other.ranges_.begin(), other.ranges_.end(),
                       [&](const AddressRange& range) { return Meeting(range); });
  }
  bool empty() const { return ranges_.empty(); }

  friend bool operator==(const AddressRanges&, const AddressRanges&) = default;

 private:
  std::vector<AddressRange> ranges_;  // sorted and disjoint
};

}  // namespace conntally
