#include "daemon/observation/exported/exported_nat.h"

#include <map>

namespace conntally {

void ExportedNat::Update(const NatFigures* figures, Clock::time_point now) {
  constexpr double kMuch = 0.5;  // such uses go first
  std::map<Key, Set::Candidate> ranked;
  std::map<Key, const PortUse*> uses;
  if (figures != nullptr) {
    for (const PortUse& use : figures->uses) {
      const Key key{use.nat_address, use.destination};
      if (ranked.size() < top_) ranked.emplace(key, Set::Candidate{use.usage() >= kMuch, use.usage()});
      uses.emplace(key, &use);
    }
  }
  exported_.Update(ranked, now);
  for (auto& [key, held] : exported_.held()) {
    PortUse& last = held.kept;
    last.used = last.closed = 0;
    const auto use = uses.find(key);
    if (use == uses.end()) continue;
    last = *use->second;
    last.holders.clear();
  }
}

std::vector<PortUse> ExportedNat::exported() const {
  std::vector<PortUse> uses;
  for (const auto& [key, held] : exported_.held()) uses.push_back(held.kept);
  return uses;
}

}  // namespace conntally
