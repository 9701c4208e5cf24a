// The named networks of the configuration, and all names since the start. A name keeps its index as long as the process
// lives, so the counters of a network that a reload removed stay: they stand still, and continue if the name comes
// back. There is room for kNamedGroupsMax names; networks of further names count as "other", and turned_away() counts
// the names.
//
// Threads: one owner.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collectors/addresses/network_groups.h"
#include "collectors/drops/drop_tally.h"
#include "collectors/tally/flow_totals.h"

namespace conntally {

inline constexpr const char* kOtherGroupName = "other";

struct NamedGroup {
  std::string name;
  GroupFigures figures;
  std::uint64_t dropped_packets = 0;
};

class NamedNetworks {
 public:
  // The table for looking up addresses from now on; null until the first network is configured.
  std::shared_ptr<const NetworkGroups> Take(const std::map<std::string, std::vector<Prefix>>& groups);

  // The totals, divided among all names since the start; "other" is last and has the remainder.
  std::vector<NamedGroup> Divide(const TotalFigures& totals, const DropTally::Figures& drops) const;
  // Names without room, in all.
  std::uint64_t turned_away() const { return turned_away_; }

 private:
  std::vector<std::string> names_{kOtherGroupName};  // by GroupIndex
  std::uint64_t turned_away_ = 0;
};

}  // namespace conntally
