// Which pairs of translated address and destination have series: the fullest, and those that recently were. Pure; one
// owner.
#pragma once

#include <utility>
#include <vector>

#include "collectors/nat/nat_figures.h"
#include "daemon/observation/exported/exported_set.h"

namespace conntally {

class ExportedNat {
 public:
  using Clock = std::chrono::steady_clock;

  explicit ExportedNat(TopOptions options) : top_(options.top), exported_(Set::Options::Of(options)) {}
  void set_options(TopOptions options) {
    top_ = options.top;
    exported_.set_options(Set::Options::Of(options));
  }

  // `figures` is null while nothing is known.
  void Update(const NatFigures* figures, Clock::time_point now);

  // By key, without the sources that hold the ports. A pair that is no longer in the figures uses no port.
  std::vector<PortUse> exported() const;
  std::uint64_t holds_turned_away() const { return exported_.holds_turned_away(); }
  std::uint64_t held_back() const { return exported_.held_back(); }

 private:
  using Key = std::pair<IpAddress, Endpoint>;  // the translated address and the destination
  using Set = ExportedSet<Key, PortUse>;

  std::uint32_t top_;
  Set exported_;
};

}  // namespace conntally
