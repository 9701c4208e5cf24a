// Which sources' last hour is worth keeping. Pure; with a view of the tally.
#pragma once

#include <cstdint>
#include <vector>

#include "collectors/drops/drop_tally.h"
#include "collectors/tally/tally.h"
#include "daemon/observation/history/history.h"

namespace conntally {

// The first by connections, by new connections a second and by dropped packets a second: kSourcesPerSample at most,
// each once. One pass over the rows; `sources` becomes the number of those with connections.
std::vector<SourceSample> SourcesThatStandOut(const Tally::View& view, std::vector<DropTally::Rated> dropped,
                                              std::uint64_t& sources);

}  // namespace conntally
