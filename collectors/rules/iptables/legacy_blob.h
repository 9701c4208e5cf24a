// A legacy table (iptables, ip6tables) as the kernel hands it out: one blob of entries. Pure functions of bytes; any
// thread.
//
// Sources: linux/netfilter/x_tables.h, linux/netfilter_ipv4/ip_tables.h (struct ipt_entry),
// linux/netfilter_ipv6/ip6_tables.h (struct ip6t_entry); net/ipv4/netfilter/ip_tables.c (translate_table, get_entries).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/ruleset.h"

namespace conntally {

// struct ipt_getinfo, which is struct ip6t_getinfo, too.
struct LegacyInfo {
  static constexpr std::size_t kHooks = 5;
  char name[32];
  std::uint32_t valid_hooks;
  std::array<std::uint32_t, kHooks> hook_entry;  // offset of each built-in chain's first entry
  std::array<std::uint32_t, kHooks> underflow;   // and of its policy
  std::uint32_t entries;
  std::uint32_t size_bytes;
};

// One table as a part of a ruleset: its chains and its rules, in the order of the blob, which is the save tools', too.
// Texts are left empty.
struct LegacyTable {
  std::vector<RuleChain> chains;
  std::vector<Rule> rules;
  std::vector<std::size_t> counter_offsets;                // by rule: where in the blob its counter stands
  std::vector<std::optional<std::size_t>> policy_offsets;  // by chain: the policy's
};

// nullopt when the blob is malformed. `family` is kIp or kIp6.
std::optional<LegacyTable> DecodeLegacyTable(const std::string& name, RuleFamily family, const LegacyInfo& info,
                                             Bytes entries);

// Where the counters of all entries stand, in order; an empty list for a malformed blob.
std::vector<std::size_t> LegacyCounterOffsets(RuleFamily family, Bytes entries);

// The entry whose counter stands at `counter_offset`, which DecodeLegacyTable gave.
Bytes LegacyEntryOf(RuleFamily family, Bytes entries, std::size_t counter_offset);

// Sixteen bytes each, as struct xt_counters.
RuleCounter LoadLegacyCounter(Bytes entries, std::size_t offset);

}  // namespace conntally
