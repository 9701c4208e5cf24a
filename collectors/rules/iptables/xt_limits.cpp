#include "collectors/rules/iptables/xt_limits.h"

#include <linux/netfilter.h>
#include <linux/netfilter/xt_connlimit.h>
#include <linux/netfilter/xt_hashlimit.h>
#include <linux/netfilter/xt_limit.h>

#include <algorithm>
#include <cstring>

#include "collectors/rules/iptables/xt_bytes.h"

namespace conntally {

bool DecodeXtConnlimit(std::uint32_t revision, Bytes info, std::optional<Family> family, Rule& rule) {
  // The trailing pointer is for the kernel and may be missing.
  constexpr std::size_t kBytes = sizeof(nf_inet_addr) + 8;
  if (info.size() < kBytes) return false;
  nf_inet_addr mask;
  std::memcpy(&mask, info.data(), sizeof mask);
  const auto connections = LoadHostOrder<std::uint32_t>(info.subspan(sizeof mask));
  const auto flags = LoadHostOrder<std::uint32_t>(info.subspan(sizeof mask + 4));
  RuleLimit limit;
  limit.kind = RuleLimit::Kind::kConnlimit;
  limit.connections = connections;
  limit.matches_above = (flags & XT_CONNLIMIT_INVERT) == 0;
  limit.per =
      revision >= 1 && (flags & XT_CONNLIMIT_DADDR) != 0 ? RuleLimit::Per::kDestination : RuleLimit::Per::kSource;
  const auto bits_of = [&](Family which) {
    std::uint8_t bits = 0;
    const IpAddress address = XtAddress(&mask, which);
    while (bits < AddressBits(which) && (address.bytes[bits / 8] >> (7 - bits % 8) & 1) != 0) ++bits;
    return bits;
  };
  if (family == Family::kIpv4) limit.ipv4_prefix = bits_of(Family::kIpv4);
  if (family == Family::kIpv6) limit.ipv6_prefix = bits_of(Family::kIpv6);
  rule.limits.push_back(limit);
  return true;
}

bool DecodeXtLimit(Bytes info, Rule& rule) {
  if (info.size() < 8) return false;
  const auto interval = LoadHostOrder<std::uint32_t>(info);  // between packets, in 1/XT_LIMIT_SCALE s
  RuleLimit limit;
  limit.kind = RuleLimit::Kind::kLimit;
  limit.matches_above = false;
  limit.burst = LoadHostOrder<std::uint32_t>(info.subspan(4));
  limit.rate_per_second = static_cast<double>(XT_LIMIT_SCALE) / std::max(interval, 1U);
  rule.limits.push_back(limit);
  return true;
}

bool DecodeXtHashlimit(std::uint32_t revision, Bytes info, Rule& rule) {
  double scale = 0, interval = 0;
  std::uint64_t burst = 0;
  std::uint32_t mode = 0;
  std::uint8_t source_bits = 0;
  const auto take = [&](const auto& config, double its_scale) {
    scale = its_scale, interval = static_cast<double>(config.avg), burst = config.burst;
    mode = config.mode, source_bits = config.srcmask;
  };
  if (const auto third = ReadXt<xt_hashlimit_mtinfo3>(info); third && revision == 3) {
    take(third->cfg, 1'000'000);
  } else if (const auto second = ReadXt<xt_hashlimit_mtinfo2>(info); second && revision == 2) {
    take(second->cfg, 1'000'000);
  } else if (const auto first = ReadXt<xt_hashlimit_mtinfo1>(info); first && revision == 1) {
    take(first->cfg, 10'000);
  } else {
    return false;
  }
  RuleLimit limit;
  limit.kind = RuleLimit::Kind::kHashlimit;
  limit.matches_above = (mode & XT_HASHLIMIT_INVERT) != 0;
  limit.rate_of_bytes = (mode & XT_HASHLIMIT_BYTES) != 0;
  limit.burst = burst;
  if (limit.rate_of_bytes) {
    // The cost of a unit of 16 bytes; a second's costs are UINT32_MAX (iptables' libxt_hashlimit.c, cost_to_bytes).
    const std::uint32_t units = interval >= 1 ? static_cast<std::uint32_t>(UINT32_MAX / interval) : UINT32_MAX;
    limit.rate_per_second = units == 0 ? 0 : static_cast<double>(std::uint64_t{units - 1} << XT_HASHLIMIT_BYTE_SHIFT);
    limit.burst = burst * static_cast<std::uint64_t>(limit.rate_per_second);  // the kernel has it in seconds
  } else {
    limit.rate_per_second = interval <= 0 ? 0 : scale / interval;
  }
  const std::uint32_t keys =
      mode & (XT_HASHLIMIT_HASH_SIP | XT_HASHLIMIT_HASH_DIP | XT_HASHLIMIT_HASH_SPT | XT_HASHLIMIT_HASH_DPT);
  limit.per = keys == XT_HASHLIMIT_HASH_SIP   ? RuleLimit::Per::kSource
              : keys == XT_HASHLIMIT_HASH_DIP ? RuleLimit::Per::kDestination
              : keys == 0                     ? RuleLimit::Per::kEverything
                                              : RuleLimit::Per::kOther;
  limit.ipv4_prefix = std::min<std::uint8_t>(source_bits, 32);
  limit.ipv6_prefix = std::min<std::uint8_t>(source_bits, 128);
  rule.limits.push_back(limit);
  return true;
}

}  // namespace conntally
