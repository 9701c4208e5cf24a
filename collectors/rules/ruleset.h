// All rules of one backend between two changes. Immutable once published; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "collectors/rules/rule.h"

namespace conntally {

struct RuleChain {
  RuleBackend backend = RuleBackend::kNftables;
  RuleFamily family = RuleFamily::kIp;
  std::string table;
  std::string name;
  bool base = false;                  // hooked; the following are only for base chains
  std::string type;                   // "filter", "nat", "route"
  std::string hook;                   // "prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"
  std::vector<std::string> devices;   // of "ingress" and "egress"
  std::int32_t priority = 0;          // of legacy tables: the kernel's fixed one
  Verdict policy = Verdict::kAccept;  // kAccept or kDrop
  bool has_policy_counter = false;
  // Indexes into Ruleset::rules: [first_rule, first_rule + rule_count).
  std::size_t first_rule = 0;
  std::size_t rule_count = 0;
};

struct RuleTable {
  RuleFamily family = RuleFamily::kIp;
  std::string name;
  std::size_t rules = 0;
  std::size_t rules_uncounted = 0;
  bool by_iptables = false;  // nftables: iptables-nft (or ip6tables-nft) created and manages it
};

// One backend's rules of one generation.
struct Ruleset {
  RuleBackend backend = RuleBackend::kNftables;
  std::uint32_t generation = 0;  // nftables: the kernel's; legacy: counted by conntally
  std::vector<RuleTable> tables;
  std::vector<RuleChain> chains;  // by table
  std::vector<Rule> rules;        // chain by chain, in the order of evaluation
  bool uses_ipsets = false;
};

}  // namespace conntally
