// Decodes a legacy table (iptables, ip6tables), which the kernel returns as one blob of entries. Pure functions of
// bytes; any thread.
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

// struct ipt_getinfo, which equals struct ip6t_getinfo.
struct LegacyInfo {
  static constexpr std::size_t kHooks = 5;
  char name[32];
  std::uint32_t valid_hooks;
  std::array<std::uint32_t, kHooks> hook_entry;  // offset of each built-in chain's first entry
  std::array<std::uint32_t, kHooks> underflow;   // offset of its policy
  std::uint32_t entries;
  std::uint32_t size_bytes;
};

// One table as part of a ruleset: its chains and rules, in the order of the blob and of the save tools. Texts are
// empty.
struct LegacyTable {
  std::vector<RuleChain> chains;
  std::vector<Rule> rules;
  std::vector<std::size_t> counter_offsets;                // by rule: offset of its counter in the blob
  std::vector<std::optional<std::size_t>> policy_offsets;  // by chain: offset of the policy's counter
};

// nullopt if the blob is malformed. `family` is kIp or kIp6.
std::optional<LegacyTable> DecodeLegacyTable(const std::string& name, RuleFamily family, const LegacyInfo& info,
                                             Bytes entries);

// The offsets of all entries' counters, in order; empty for a malformed blob.
std::vector<std::size_t> LegacyCounterOffsets(RuleFamily family, Bytes entries);

// The entry whose counter is at `counter_offset`, from DecodeLegacyTable.
Bytes LegacyEntryOf(RuleFamily family, Bytes entries, std::size_t counter_offset);

// Sixteen bytes each, as struct xt_counters.
RuleCounter LoadLegacyCounter(Bytes entries, std::size_t offset);

}  // namespace conntally
