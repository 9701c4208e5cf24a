#include "collectors/addresses/network_groups.h"

#include "collectors/addresses/ranges.h"

namespace conntally {

template <typename Number>
void NetworkGroups::Segments<Number>::Begin(Number first, GroupIndex group) {
  if (!firsts.empty() && firsts.back() == first) {
    groups.back() = group;
    return;
  }
  firsts.push_back(first);
  groups.push_back(group);
}

// Visits prefixes in ascending order, outer before inner ones: `around` has those that contain the present place, the
// innermost last.
template <typename Number>
NetworkGroups::Segments<Number> NetworkGroups::Lay(const std::vector<Network>& networks, Family family) {
  struct Open {
    Number last;
    GroupIndex group;
  };
  std::vector<Network> sorted;
  std::copy_if(networks.begin(), networks.end(), std::back_inserter(sorted),
               [&](const Network& network) { return network.prefix.address.family == family; });
  std::sort(sorted.begin(), sorted.end(), [](const Network& a, const Network& b) { return a.prefix < b.prefix; });
  Segments<Number> segments;
  std::vector<Open> around;
  const auto leave = [&] {
    const Number last = around.back().last;
    around.pop_back();
    if (last != static_cast<Number>(-1)) segments.Begin(last + 1, around.empty() ? kOtherGroup : around.back().group);
  };
  for (const Network& network : sorted) {
    const AddressRange range = RangeOf(network.prefix);
    const auto first = NumberOf<Number>(range.first);
    while (!around.empty() && around.back().last < first) leave();
    around.push_back({NumberOf<Number>(range.last), network.group});
    segments.Begin(first, network.group);
  }
  while (!around.empty()) leave();
  return segments;
}

NetworkGroups::NetworkGroups(const std::vector<Network>& networks)
    : ipv4_(Lay<std::uint32_t>(networks, Family::kIpv4)), ipv6_(Lay<Number128>(networks, Family::kIpv6)) {}

}  // namespace conntally
