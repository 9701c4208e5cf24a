#include "collectors/rules/nft/decode/nft_limits.h"

#include <netinet/in.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter/nf_tables.h>

#include <algorithm>

namespace conntally {

RuleLimit NftConnectionLimit(const NftAttributes& a, RuleLimit::Per per) {
  RuleLimit limit;
  limit.kind = RuleLimit::Kind::kNftCtCount;
  limit.per = per;
  limit.connections = a.number(NFTA_CONNLIMIT_COUNT);
  limit.matches_above = (a.number(NFTA_CONNLIMIT_FLAGS) & NFT_CONNLIMIT_F_INV) != 0;
  return limit;
}

RuleLimit NftRateLimit(const NftAttributes& a, RuleLimit::Per per) {
  RuleLimit limit;
  limit.kind = RuleLimit::Kind::kLimit;
  limit.per = per;
  const auto unit = std::max<std::uint64_t>(a.wide(NFTA_LIMIT_UNIT), 1);  // seconds
  limit.rate_per_second = static_cast<double>(a.wide(NFTA_LIMIT_RATE)) / static_cast<double>(unit);
  limit.burst = a.number(NFTA_LIMIT_BURST);
  limit.rate_of_bytes = a.number(NFTA_LIMIT_TYPE) == NFT_LIMIT_PKT_BYTES;
  limit.matches_above = (a.number(NFTA_LIMIT_FLAGS) & NFT_LIMIT_F_INV) != 0;
  return limit;
}

void NftQueue(const NftAttributes& a, Rule& rule) {
  rule.verdict = Verdict::kQueue;
  if (!a.has(NFTA_QUEUE_NUM)) return;  // a map gives the queue
  const std::uint32_t first = a.number(NFTA_QUEUE_NUM), total = std::max(a.number(NFTA_QUEUE_TOTAL), 1U);
  rule.queue = RuleQueue{{first, first + total - 1}, (a.number(NFTA_QUEUE_FLAGS) & NFT_QUEUE_FLAG_BYPASS) != 0};
}

}  // namespace conntally
