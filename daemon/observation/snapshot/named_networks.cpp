#include "daemon/observation/snapshot/named_networks.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace conntally {

std::shared_ptr<const NetworkGroups> NamedNetworks::Take(const std::map<std::string, std::vector<Prefix>>& groups) {
  std::vector<NetworkGroups::Network> networks;
  for (const auto& [name, prefixes] : groups) {
    auto known = std::find(names_.begin(), names_.end(), name);
    if (known == names_.end() && names_.size() > kNamedGroupsMax) {
      ++turned_away_;
      known = names_.begin();
    } else if (known == names_.end()) {
      known = names_.insert(names_.end(), name);
    }
    const auto group = static_cast<GroupIndex>(known - names_.begin());
    for (const Prefix& prefix : prefixes) networks.push_back({prefix, group});
  }
  if (names_.size() == 1) return nullptr;
  return std::make_shared<const NetworkGroups>(networks);
}

std::vector<NamedGroup> NamedNetworks::Divide(const TotalFigures& totals, const DropTally::Figures& drops) const {
  const auto sum = [](const auto& counters) {
    return std::accumulate(counters.begin(), counters.end(), std::uint64_t{0});
  };
  NamedGroup other{names_.front(),
                   {totals.ConnectionsSum(), totals.unreplied, sum(totals.opened), sum(totals.closed)},
                   sum(drops.packets)};
  std::vector<NamedGroup> groups;
  for (std::size_t i = 1; i < names_.size(); ++i) {
    const GroupFigures& figures = totals.groups[i];
    groups.push_back({names_[i], figures, drops.group_packets[i]});
    other.figures.connections -= figures.connections;
    other.figures.unreplied -= figures.unreplied;
    other.figures.opened -= figures.opened;
    other.figures.closed -= figures.closed;
    other.dropped_packets -= drops.group_packets[i];
  }
  groups.push_back(std::move(other));
  return groups;
}

}  // namespace conntally
