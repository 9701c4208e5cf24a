// Counts the connections of a few sources by protocol, destination port and state. Reads a dump of the kernel's table
// on its own socket, so that the event thread neither waits nor keeps such figures for every source.
//
// The cost is a walk through the kernel's whole table: some 2 s of CPU for a million entries, a tenth where the kernel
// filters by source itself (CTA_FILTER, Linux 5.8; one IPv4 source at a time). The caller must make sure that this is
// rare.
//
// SourceSurvey is pure. SurveyKernel: any thread, one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "collectors/conntrack/decode/flow_event.h"
#include "collectors/conntrack/flows/flow_tracker.h"
#include "collectors/system/result.h"
#include "collectors/tally/flow_totals.h"

namespace conntally {

struct SurveyedConnections {
  // Kinds of connections distinguished per source; a scan has more, which are in `others`.
  static constexpr std::size_t kKindsMax = 1024;

  struct Kind {
    std::uint8_t protocol = 0;
    std::uint16_t destination_port = 0;  // 0 where the protocol has none
    std::uint16_t state = 0;             // FlowStateIndex
    friend auto operator<=>(const Kind&, const Kind&) = default;
  };
  std::map<Kind, std::uint64_t> kinds;
  std::uint64_t others = 0;
  std::uint64_t connections = 0;  // all of them
};

class SourceSurvey {
 public:
  // `sources` must be masked by `grouping`.
  SourceSurvey(const std::vector<IpAddress>& sources, SourceGrouping grouping);

  void Add(const FlowEvent& flow);
  const std::map<IpAddress, SurveyedConnections>& sources() const { return sources_; }

 private:
  const SourceGrouping grouping_;
  std::map<IpAddress, SurveyedConnections> sources_;
};

// Fills the survey from the table of the calling thread's network namespace. Ends early with an error if `stop` is
// requested.
Status SurveyKernel(const std::vector<IpAddress>& sources, SourceGrouping grouping, const std::stop_token& stop,
                    SourceSurvey& survey);

}  // namespace conntally
