#include "daemon/exposition/group_exposition.h"

namespace conntally {

void AddGroups(MetricFamilyList& list, const std::vector<NamedGroup>& groups) {
  const auto each = [&](MetricFamilyList::Family family, auto&& value_of) {
    for (const NamedGroup& group : groups) family.Add(value_of(group), {{"group", group.name}});
  };
  using Group = const NamedGroup&;
  each(list.Gauge("conntally_group_connections",
                  "Connections of sources in the named network; in all the exact sum of conntally_connections."),
       [](Group g) { return g.figures.connections; });
  each(list.Gauge("conntally_group_unreplied_connections", "Those of them that saw no packet in reply."),
       [](Group g) { return g.figures.unreplied; });
  each(list.Counter("conntally_group_opened_total",
                    "Connections opened from the named network since the daemon started; in all the exact sum of "
                    "conntally_connections_opened_total."),
       [](Group g) { return g.figures.opened; });
  each(list.Counter("conntally_group_closed_total", "Connections from the named network that ended; likewise."),
       [](Group g) { return g.figures.closed; });
  each(list.Counter("conntally_group_dropped_packets_total",
                    "Packets from the named network that netfilter dropped or rejected; in all the exact sum of "
                    "conntally_dropped_packets_total."),
       [](Group g) { return g.dropped_packets; });
}

}  // namespace conntally
