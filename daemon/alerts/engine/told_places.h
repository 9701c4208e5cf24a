// Which subjects have an alert of their own: the first few of each kind and severity. The others share one
// (CollectiveAlerts).
//
// Subjects that a stranger can invent by forging addresses have fewer, separate places, and never take those of the
// others. Places go to the first subjects, which keep them. A place stays reserved for kKept after its subject leaves,
// so that a turnover of forged sources, however long, does not make a stream of alerts. A subject that is kMuchWorse
// times worse than all that have places gets one of kForMuchWorse extra places. No subject ever loses its place to
// another: its alert would end although the trouble continues.
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

  // True: it has a place, new or old. Offer the worst first.
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
