#include "daemon/alerts/engine/told_places.h"

#include <algorithm>

namespace conntally {

ToldPlaces::Place* ToldPlaces::Find(const AlertSubject& subject, Severity severity) {
  for (const bool forgeable : {false, true}) {
    const auto places = places_.find({subject.kind, severity, forgeable});
    if (places == places_.end()) continue;
    const auto found = std::find_if(places->second.begin(), places->second.end(),
                                    [&](const Place& place) { return place.subject == subject; });
    if (found != places->second.end()) return &*found;
  }
  return nullptr;
}

bool ToldPlaces::Take(const AlertSubject& subject, Severity severity, Standing standing, double badness, Time now) {
  if (Place* own = Find(subject, severity)) {
    own->left.reset();
    own->badness = std::max(own->badness, badness);
    return true;
  }
  const bool forgeable = CanBeForged(standing);
  std::vector<Place>& places = places_[{subject.kind, severity, forgeable}];
  std::erase_if(places, [&](const Place& place) { return place.left && now - *place.left > kKept; });
  const std::size_t room = forgeable ? kPlacesOfForgeable : kPlaces;
  const bool much_worse =
      std::all_of(places.begin(), places.end(), [&](const Place& p) { return badness >= kMuchWorse * p.badness; });
  if (places.size() >= room + (much_worse ? kForMuchWorse : 0)) return false;
  places.push_back({subject, badness, std::nullopt});
  return true;
}

void ToldPlaces::Leave(const AlertSubject& subject, Severity severity, Time now) {
  if (Place* place = Find(subject, severity)) place->left = now;
}

}  // namespace conntally
