#include "daemon/exposition/nat_exposition.h"

#include <string>

#include "collectors/tally/protocol_names.h"

namespace conntally {
namespace {

Labels LabelsOf(const PortUse& use) {
  return {{"nat_address", use.nat_address.ToString()},
          {"protocol", ProtocolName(use.destination.protocol)},
          {"destination", use.destination.address.ToString()},
          {"destination_port", use.destination.port != 0 ? std::to_string(use.destination.port) : ""}};
}

}  // namespace

void AddNat(MetricFamilyList& list, const std::vector<PortUse>& uses) {
  auto used = list.Gauge("conntally_nat_ports_used",
                         "Ports of the translated address that connections towards the destination have.");
  for (const PortUse& use : uses) used.Add(use.used, LabelsOf(use));
  auto closed = list.Gauge("conntally_nat_ports_closed",
                           "Of the used ports those of TCP connections that have ended, which this kernel takes again "
                           "when it finds no other.");
  for (const PortUse& use : uses) closed.Add(use.closed, LabelsOf(use));
  auto available = list.Gauge("conntally_nat_ports_available",
                              "Ports that the rule, or else the kernel, has for them, used ones included.");
  for (const PortUse& use : uses) available.Add(use.available(), LabelsOf(use));
}

}  // namespace conntally
