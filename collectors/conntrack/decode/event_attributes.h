// The hot path's walk over the attributes of conntrack's events and dumps: the same as AttributeWalk, without its five
// calls into libmnl per attribute. Pure functions of bytes: no allocation, nothing read outside the span. Any thread.
//
// Source: linux/netlink.h (struct nlattr); net/netlink/attr.c, nla_ok().
#pragma once

#include <algorithm>

#include "collectors/netlink/attributes.h"

namespace conntally {

class EventAttributeWalk {
 public:
  constexpr explicit EventAttributeWalk(Bytes bytes) : rest_(bytes) {}

  // False at the end, and at the first malformed attribute.
  constexpr bool Next(Attribute& attribute) {
    if (rest_.empty()) return false;
    if (rest_.size() < kHeaderBytes) return Stop();
    const std::size_t length = LoadHostOrder<std::uint16_t>(rest_);
    if (length < kHeaderBytes || length > rest_.size()) return Stop();
    attribute.type = LoadHostOrder<std::uint16_t>(rest_.subspan(2)) & kTypeMask;
    attribute.payload = rest_.subspan(kHeaderBytes, length - kHeaderBytes);
    // The padding after the last attribute may be missing: its length does not count it.
    rest_ = rest_.subspan(std::min(Aligned(length), rest_.size()));
    return true;
  }

  // Whether the walk ended at bytes that are not an attribute.
  constexpr bool malformed() const { return malformed_; }

 private:
  static constexpr std::size_t kHeaderBytes = 4;
  static constexpr std::uint16_t kTypeMask = 0x3fff;

  constexpr bool Stop() {
    malformed_ = true;
    return false;
  }

  Bytes rest_;
  bool malformed_ = false;
};

}  // namespace conntally
