#include "daemon/drops/interface_names.h"

#include <net/if.h>

#include <array>

namespace conntally {

std::string InterfaceNames::Look(std::uint32_t index) {
  if (index == 0) return {};
  if (std::string known = Of(index); !known.empty()) return known;
  std::array<char, IF_NAMESIZE> name{};
  if (if_indextoname(index, name.data()) == nullptr) return {};
  const auto names = names_.Lock();
  if (names->size() < kMax) names->emplace(index, name.data());
  return name.data();
}

std::string InterfaceNames::Of(std::uint32_t index) const {
  const auto names = names_.Lock();
  const auto found = names->find(index);
  return found != names->end() ? found->second : std::string();
}

}  // namespace conntally
