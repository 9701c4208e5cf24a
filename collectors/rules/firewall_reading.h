// What the firewall's rules are and what they have counted at one moment, as plain values: nftables (which holds the
// rules of iptables-nft, too) and the legacy tables. Immutable once published; any thread.
//
// What changes only with a generation (rules, chains, texts, conditions) is in a Ruleset that readings share; what
// packets change (counters, elements of dynamic sets) is in the BackendReading. Indexes tie them: counters[i] belongs
// to rules[i].
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

// What became of rules between the reading before and this one, as far as the kernel told it: of those with a counter
// of their own.
struct RuleChanges {
  struct Passed {
    RuleFamily family = RuleFamily::kIp;
    std::string table;
    std::string chain;
    std::string text;
    RuleCounter counted;
  };
  std::shared_ptr<const Ruleset> before;           // the rules of the reading before; null: nothing is known
  std::vector<std::optional<RuleCounter>> finals;  // by rule of `before`: the last value of one that was deleted
  std::vector<Passed> passed;                      // made after that reading and deleted before this one
  std::vector<std::optional<RuleCounter>> begun;   // by rule now: what one that was made since began with
};

// One backend at one moment.
struct BackendReading {
  bool present = false;  // the kernel has this backend, and conntally may read it
  bool success = false;
  bool lacks_capability = false;  // not present for want of one, which `failure` names
  std::string failure;            // why not
  double duration_seconds = 0;
  std::shared_ptr<const Ruleset> ruleset;               // never null when `present`
  std::vector<std::optional<RuleCounter>> counters;     // by rule; nullopt: the rule has none
  std::vector<std::optional<RuleCounter>> policies;     // by chain
  std::shared_ptr<const std::vector<AddressSet>> sets;  // never null when `present`
  RuleChanges changes;
};

struct FirewallReading {
  std::map<RuleBackend, BackendReading> backends;         // those that are configured
  std::shared_ptr<const std::vector<AddressSet>> ipsets;  // null unless some rule uses one
};

}  // namespace conntally
