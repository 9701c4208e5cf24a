// A legacy rule's text in iptables' syntax, from what conntally itself decodes: used if iptables-legacy-save is not
// installed, or may not open its raw socket (CAP_NET_RAW). Parts that are not understood appear as a digest of the
// entry, so that the text is stable and unique to the rule. Pure; any thread.
#pragma once

#include <string>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/rule.h"

namespace conntally {

// `entry` is the kernel's form of the rule, with zero counters.
std::string DescribeLegacyRule(const Rule& rule, Bytes entry);

}  // namespace conntally
