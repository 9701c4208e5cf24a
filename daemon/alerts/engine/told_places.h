// Who is told by name: of each kind and severity the first few. The rest is told as one (CollectiveAlerts).
//
// Subjects that a stranger can make up by forging addresses have places apart, and fewer: they never take those of the
// others. Among equals the first comes first and keeps its place; when it leaves, the place stays its own for kKept, so
// that no turnover of forged sources, however long, makes a stream of alerts. One that is kMuchWorse than all that have
// places gets kForMuchWorse more. Nobody is put out of a place: that would be an end that is none.
//
// Pure. Threads: one owner.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "daemon/alerts/kinds/alert.h"

namespace conntally {

class ToldPlaces {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kPlaces = 5;
  static constexpr std::size_t kPlacesOfForgeable = 3;
  static constexpr std::size_t kForMuchWorse = 1;
  static constexpr std::size_t kMax = kPlaces + kPlacesOfForgeable + 2 * kForMuchWorse;  // of a kind and severity
  static constexpr double kMuchWorse = 4;
  static constexpr std::chrono::minutes kKept{10};

  // True: it has a place, now or before. Offer the worst first.
  bool Take(const AlertSubject& subject, Severity severity, Standing standing, double badness, Time now);
  void Leave(const AlertSubject& subject, Severity severity, Time now);

 private:
  using Key = std::tuple<AlertKind, Severity, bool>;  // true: can be forged
  struct Place {
    AlertSubject subject;
    double badness = 0;
    std::optional<Time> left;
  };

  Place* Find(const AlertSubject& subject, Severity severity);

  std::map<Key, std::vector<Place>> places_;
};

}  // namespace conntally
