// A legacy rule's text in iptables' manner from what conntally itself understands of it: for where iptables-legacy-save
// is not installed, or may not open the raw socket that it wants (CAP_NET_RAW). What is not understood is shown as a
// digest of the entry, so that the text is the same as long as the rule is, and no other rule's. Pure; any thread.
#pragma once

#include <string>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/rule.h"

namespace conntally {

// `entry` is the kernel's own form of the rule, counters zeroed.
std::string DescribeLegacyRule(const Rule& rule, Bytes entry);

}  // namespace conntally
