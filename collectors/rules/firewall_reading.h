// The firewall's rules and their counters at one moment, as plain values: nftables (which includes the rules of
// iptables-nft) and the legacy tables. Immutable once published; any thread.
//
// Data that changes only with a generation (rules, chains, texts, conditions) is in a Ruleset, which readings share.
// Data that packets change (counters, elements of dynamic sets) is in the BackendReading. counters[i] belongs to
// rules[i].
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectors/rules/address_set.h"
#include "collectors/rules/ruleset.h"

namespace conntally {

// What happened to rules between the previous reading and this one, from the kernel's notifications; only rules with
// their own counter.
struct RuleChanges {
  struct Passed {
    RuleFamily family = RuleFamily::kIp;
    std::string table;
    std::string chain;
    std::string text;
    RuleCounter counted;
  };
  std::shared_ptr<const Ruleset> before;           // the previous reading's rules; null: unknown
  std::vector<std::optional<RuleCounter>> finals;  // by rule of `before`: the final value, if it was deleted
  std::vector<Passed> passed;                      // created after that reading and deleted before this one
  std::vector<std::optional<RuleCounter>> begun;   // by present rule: the initial value, if it was created since
};

// One backend at one moment.
struct BackendReading {
  bool present = false;  // the kernel has this backend, and conntally can read it
  bool success = false;
  bool lacks_capability = false;  // not present because a capability is missing, which `failure` names
  std::string failure;            // the reason, without success
  double duration_seconds = 0;
  std::shared_ptr<const Ruleset> ruleset;               // never null when `present`
  std::vector<std::optional<RuleCounter>> counters;     // by rule; nullopt: the rule has none
  std::vector<std::optional<RuleCounter>> policies;     // by chain
  std::shared_ptr<const std::vector<AddressSet>> sets;  // never null when `present`
  RuleChanges changes;
};

struct FirewallReading {
  std::map<RuleBackend, BackendReading> backends;         // the configured ones
  std::shared_ptr<const std::vector<AddressSet>> ipsets;  // null unless some rule uses one
};

}  // namespace conntally
