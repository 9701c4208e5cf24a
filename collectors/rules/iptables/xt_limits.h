// Decodes xtables' matches that limit connections or rates, and adds their limits to the rule. False: not understood.
// Pure; any thread.
//
// Source: linux/netfilter/xt_connlimit.h, xt_limit.h, xt_hashlimit.h.
#pragma once

#include <cstdint>
#include <optional>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/rule.h"

namespace conntally {

bool DecodeXtConnlimit(std::uint32_t revision, Bytes info, std::optional<Family> family, Rule& rule);
bool DecodeXtLimit(Bytes info, Rule& rule);
bool DecodeXtHashlimit(std::uint32_t revision, Bytes info, Rule& rule);

}  // namespace conntally
