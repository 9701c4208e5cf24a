// Helpers for reading nftables' messages. Pure; any thread.
#pragma once

#include <cstdint>

#include "collectors/netlink/attributes.h"

namespace conntally {

inline std::uint32_t AttributeNumber32(Bytes payload) {
  return static_cast<std::uint32_t>(AttributeNumber(payload).value_or(0));
}

// Walks `attributes`; false if they are malformed.
template <typename Visit>
bool ForEachAttribute(Bytes attributes, Visit visit) {
  AttributeWalk walk(attributes);
  for (Attribute attribute; walk.Next(attribute);) visit(attribute);
  return !walk.malformed();
}

}  // namespace conntally
