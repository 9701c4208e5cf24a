// Which destinations have their own series: the first N by connections, admitted and held by ExportedSet. A destination
// that answers counts as proven. All others form one remainder.
//
// Threads: any, while holding a view of the tally, which excludes other callers.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "collectors/conntrack/surveys/destination_survey.h"
#include "daemon/observation/exported/exported_set.h"

namespace conntally {

struct ExportedDestination {
  Destination destination;
  std::int64_t connections = 0;
  std::int64_t unreplied = 0;
};

class ExportedDestinations {
 public:
  using Clock = std::chrono::steady_clock;

  explicit ExportedDestinations(TopOptions options) : top_(options.top), exported_(Set::Options::Of(options)) {}
  void set_options(TopOptions options) {
    top_ = options.top;
    exported_.set_options(Set::Options::Of(options));
    ranked_ = nullptr;
  }

  // Ranks the destinations of the last survey, which is null before the first one.
  void Update(const std::shared_ptr<const DestinationFigures>& survey, Clock::time_point now);

  struct Split {
    std::vector<ExportedDestination> exported;  // ordered by destination
    std::int64_t others = 0;                    // connections to all others
  };
  // Divides the current number of connections among the destinations. The survey is some seconds older: changes since
  // are assigned to the others. If more connections ended than the others had, the rest is subtracted from the exported
  // ones in proportion.
  Split Divide(std::int64_t connections) const;

  // See ExportedSet.
  std::uint64_t holds_turned_away() const { return exported_.holds_turned_away(); }
  std::uint64_t held_back() const { return exported_.held_back(); }

 private:
  struct Counted {
    bool known = false;  // false once it has no place in the survey, though it may still have connections
    std::uint32_t connections = 0;
    std::uint32_t unreplied = 0;
  };
  using Set = ExportedSet<Destination, Counted>;

  void Rank(const DestinationFigures& survey);
  void TakeCounts(const DestinationFigures& survey);

  std::uint32_t top_;
  Set exported_;
  std::shared_ptr<const DestinationFigures> ranked_;
  std::map<Destination, Set::Candidate> candidates_;  // of ranked_
};

}  // namespace conntally
