#include "daemon/observation/exported_nat.h"

#include <map>

namespace conntally {
namespace {

ExportedNat::Key KeyOf(const PortUse& use) { return {use.nat_address, use.destination}; }

SeriesBudget::Class ClassOf(const PortUse& use) {
  constexpr double kMuch = 0.5, kSome = 0.1;
  const double usage = use.usage();
  return usage >= kMuch   ? SeriesBudget::Class::kProven
         : usage >= kSome ? SeriesBudget::Class::kHeavy
                          : SeriesBudget::Class::kOther;
}

}  // namespace

void ExportedNat::Update(const NatFigures* figures, Keys::Clock::time_point now) {
  std::vector<Keys::Ranked> ranked;
  std::map<Key, const PortUse*> uses;
  if (figures != nullptr) {
    for (const PortUse& use : figures->uses) {
      ranked.push_back({KeyOf(use), ClassOf(use)});
      uses.emplace(KeyOf(use), &use);
    }
  }
  keys_.Update(std::move(ranked), now);
  std::erase_if(last_, [&](const auto& each) { return !keys_.exported().contains(each.first); });
  for (const auto& [key, last_ranked] : keys_.exported()) {
    PortUse& last = last_[key];
    const auto use = uses.find(key);
    last.used = last.closed = 0;
    if (use == uses.end()) continue;
    last = *use->second;
    last.holders.clear();
  }
}

std::vector<PortUse> ExportedNat::exported() const {
  std::vector<PortUse> uses;
  for (const auto& [key, use] : last_) uses.push_back(use);
  return uses;
}

}  // namespace conntally
