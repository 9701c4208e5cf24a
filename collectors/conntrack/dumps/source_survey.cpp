#include "collectors/conntrack/dumps/source_survey.h"

#include <algorithm>
#include <iterator>

#include "collectors/conntrack/dumps/filtered_dump.h"
#include "collectors/conntrack/flows/flow_reading.h"
#include "collectors/tally/protocol_names.h"

namespace conntally {
namespace {

constexpr std::size_t kFilteredDumpsMax = 2;  // beyond, one dump of the family is cheaper

// Adds the dumped connections, or only those of one source.
Status Dump(const NetlinkRequest& request, const IpAddress* only, const std::stop_token& stop, SourceSurvey& survey) {
  return DumpEntries(request, stop, [&](const FlowEvent& flow, Bytes) {
    if (only == nullptr || flow.key.SourceAddress() == *only) survey.Add(flow);
  });
}

}  // namespace

SourceSurvey::SourceSurvey(const std::vector<IpAddress>& sources, SourceGrouping grouping) : grouping_(grouping) {
  for (const IpAddress& source : sources) sources_[source];
}

void SourceSurvey::Add(const FlowEvent& flow) {
  const IpAddress source = flow.key.SourceAddress();
  const auto found = sources_.find(grouping_.GroupOf(source));
  if (found == sources_.end()) return;
  SurveyedConnections& connections = found->second;
  ++connections.connections;
  const SurveyedConnections::Kind kind{flow.key.protocol,
                                       HasPorts(flow.key.protocol) ? flow.key.destination_port : std::uint16_t{0},
                                       static_cast<std::uint16_t>(StateOf(flow).value())};
  const auto known = connections.kinds.find(kind);
  if (known != connections.kinds.end()) {
    ++known->second;
  } else if (connections.kinds.size() < SurveyedConnections::kKindsMax) {
    connections.kinds.emplace(kind, 1);
  } else {
    ++connections.others;
  }
}

Status SurveyKernel(const std::vector<IpAddress>& sources, SourceGrouping grouping, const std::stop_token& stop,
                    SourceSurvey& survey) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    std::vector<IpAddress> wanted;
    std::copy_if(sources.begin(), sources.end(), std::back_inserter(wanted),
                 [&](const IpAddress& source) { return source.family == family; });
    const bool each =
        family == Family::kIpv4 && wanted.size() <= kFilteredDumpsMax && grouping.Of(family) == AddressBits(family);
    Status dumped = Ok();
    if (!each && !wanted.empty()) dumped = Dump(EntriesOf(family), nullptr, stop, survey);
    for (std::size_t i = 0; each && dumped && i < wanted.size(); ++i) {
      dumped = Dump(EntriesOf(wanted[i]), &wanted[i], stop, survey);
    }
    if (!dumped) return dumped;
  }
  return Ok();
}

}  // namespace conntally
