// Which destinations have series of their own: the first N by connections, as ExportedSet admits and holds them. One
// that answers is to destinations what a proven source is to sources. All the others are one remainder.
//
// Threads: only while a view of the tally is held, which keeps callers apart.
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

  // Ranks those of the last survey, which is null before the first.
  void Update(const std::shared_ptr<const DestinationFigures>& survey, Clock::time_point now);

  struct Split {
    std::vector<ExportedDestination> exported;  // in the order of destinations
    std::int64_t others = 0;                    // connections of all the others
  };
  // The connections that there are now, split among them. The survey is some seconds older: what has changed since is
  // the others', and where more than theirs have ended the exported ones are taken to have lost their share of it.
  Split Divide(std::int64_t connections) const;

  // As ExportedSet has them.
  std::uint64_t holds_turned_away() const { return exported_.holds_turned_away(); }
  std::uint64_t held_back() const { return exported_.held_back(); }

 private:
  struct Counted {
    bool known = false;  // not once it has no place in the survey any more, though it may have connections
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
