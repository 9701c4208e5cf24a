// The named networks of the configuration, and the names that there have ever been. A name keeps its place for the life
// of the process, so that what was counted for a network which a reload has taken away stays where it was: its counters
// stand still, and go on if the name comes back. kNamedGroupsMax names have a place; the networks of more are in the
// other one, and counted.
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
  // What addresses are looked up in from now on; null as long as there has never been a network.
  std::shared_ptr<const NetworkGroups> Take(const std::map<std::string, std::vector<Prefix>>& groups);

  // The totals, divided among all names that there have been; the other one is last, and has what they leave.
  std::vector<NamedGroup> Divide(const TotalFigures& totals, const DropTally::Figures& drops) const;
  // Names that found no place, in all.
  std::uint64_t turned_away() const { return turned_away_; }

 private:
  std::vector<std::string> names_{kOtherGroupName};  // by GroupIndex
  std::uint64_t turned_away_ = 0;
};

}  // namespace conntally
