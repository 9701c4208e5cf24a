// Which sources the history keeps. Pure; with a view of the tally.
#pragma once

#include <cstdint>
#include <vector>

#include "collectors/drops/drop_tally.h"
#include "collectors/tally/tally.h"
#include "daemon/observation/history/history.h"

namespace conntally {

// The first by connections, by new connections per second and by dropped packets per second: at most kSourcesPerSample,
// each once. One pass over the rows; sets `sources` to the number of sources with connections.
std::vector<SourceSample> SourcesThatStandOut(const Tally::View& view, std::vector<DropTally::Rated> dropped,
                                              std::uint64_t& sources);

}  // namespace conntally
