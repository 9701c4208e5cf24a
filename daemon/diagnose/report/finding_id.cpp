#include "daemon/diagnose/report/finding_id.h"

#include <algorithm>
#include <cstddef>

namespace conntally::diagnose {

static_assert(std::ranges::is_sorted(kFindingWords, {}, &std::pair<FindingId, const char*>::first) &&
              kFindingWords.back().first == FindingId::kNothingFound &&
              kFindingWords.size() == static_cast<std::size_t>(FindingId::kNothingFound) + 1);

const char* WordOf(FindingId id) { return kFindingWords[static_cast<std::size_t>(id)].second; }

}  // namespace conntally::diagnose
