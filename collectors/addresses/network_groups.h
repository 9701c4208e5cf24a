// Named networks: finds the network of an address by the longest prefix. Pure and immutable; any thread.
//
// The prefixes are stored as disjoint segments, so a look-up is one binary search: some 5 ns with ten prefixes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "collectors/addresses/address.h"

namespace conntally {

// A network's index in every list of networks, for the life of the process.
using GroupIndex = std::uint16_t;
inline constexpr GroupIndex kOtherGroup = 0;         // addresses in no named network
inline constexpr std::size_t kNamedGroupsMax = 255;  // since the start, without "other"

class NetworkGroups {
 public:
  struct Network {
    Prefix prefix;
    GroupIndex group = kOtherGroup;
  };

  NetworkGroups() = default;
  // In any order; no two prefixes are equal.
  explicit NetworkGroups(const std::vector<Network>& networks);

  GroupIndex Of(const IpAddress& address) const {
    return address.family == Family::kIpv4 ? ipv4_.Of(NumberOf<std::uint32_t>(address))
                                           : ipv6_.Of(NumberOf<Number128>(address));
  }

 private:
  __extension__ using Number128 = unsigned __int128;

  template <typename Number>
  static Number NumberOf(const IpAddress& address) {
    Number number = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i) number = number << 8 | address.bytes[i];
    return number;
  }

  template <typename Number>
  struct Segments {
    std::vector<Number> firsts;  // ascending; each segment ends where the next one begins
    std::vector<GroupIndex> groups;

    GroupIndex Of(Number number) const {
      const auto after = std::upper_bound(firsts.begin(), firsts.end(), number);
      return after == firsts.begin() ? kOtherGroup : groups[static_cast<std::size_t>(after - firsts.begin()) - 1];
    }
    void Begin(Number first, GroupIndex group);
  };
  template <typename Number>
  static Segments<Number> Lay(const std::vector<Network>& networks, Family family);

  Segments<std::uint32_t> ipv4_;
  Segments<Number128> ipv6_;
};

}  // namespace conntally
