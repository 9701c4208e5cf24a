#include "daemon/exposition/destination_exposition.h"

#include "collectors/tally/protocol_names.h"

namespace conntally {

void AddDestinations(MetricFamilyList& list, const ExportedDestinations::Split& destinations) {
  const auto each = [&](MetricFamilyList::Family family, std::int64_t ExportedDestination::*figure) {
    for (const ExportedDestination& exported : destinations.exported) {
      const Destination& to = exported.destination;
      family.Add(exported.*figure, {{"destination", to.address.ToString()},
                                    {"port", HasPorts(to.protocol) ? std::to_string(to.port) : ""},
                                    {"protocol", ProtocolName(to.protocol)}});
    }
  };
  each(list.Gauge("conntally_destination_connections",
                  "Connections to the destination, as they were addressed, before any translation."),
       &ExportedDestination::connections);
  each(list.Gauge("conntally_destination_unreplied_connections",
                  "Connections to the destination that saw no packet in reply."),
       &ExportedDestination::unreplied);
  list.Gauge("conntally_other_destinations_connections",
             "Connections to destinations that have no series of their own; with conntally_destination_connections the "
             "exact sum of conntally_connections.")
      .Add(destinations.others);
}

}  // namespace conntally
