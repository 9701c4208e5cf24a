// Which uses of translated addresses' ports have series: the fullest, and those that lately were. Pure; one owner.
#pragma once

#include <utility>
#include <vector>

#include "collectors/nat/nat_figures.h"
#include "daemon/observation/exported_keys.h"

namespace conntally {

class ExportedNat {
 public:
  using Key = std::pair<IpAddress, Endpoint>;  // the translated address, and the destination
  using Keys = ExportedKeys<Key>;

  explicit ExportedNat(Keys::Options options) : keys_(options) {}
  void set_options(Keys::Options options) { keys_.set_options(options); }

  // `figures` may be null: nothing is known yet.
  void Update(const NatFigures* figures, Keys::Clock::time_point now);

  // By key, without who holds them. One that left the figures has nothing in use.
  std::vector<PortUse> exported() const;
  const Keys& keys() const { return keys_; }

 private:
  Keys keys_;
  std::map<Key, PortUse> last_;  // of those exported
};

}  // namespace conntally
