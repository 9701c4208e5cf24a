// Decodes the limits of nftables' expressions `connlimit` and `limit`, in a rule or for each element of a set, and the
// queues of `queue`. Pure; any thread.
//
// Source: net/netfilter/nft_connlimit.c, nft_limit.c.
#pragma once

#include "collectors/rules/nft/decode/nft_field.h"
#include "collectors/rules/rule.h"

namespace conntally {

RuleLimit NftConnectionLimit(const NftAttributes& a, RuleLimit::Per per);
RuleLimit NftRateLimit(const NftAttributes& a, RuleLimit::Per per);
// `queue`, which ends the rule (nft_queue.c).
void NftQueue(const NftAttributes& a, Rule& rule);

}  // namespace conntally
