// One rule: its conditions, its verdict, and its other actions. A plain value; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/addresses/ranges.h"
#include "collectors/rules/rule_condition.h"
#include "collectors/rules/rule_words.h"

namespace conntally {

// A limit that a rule sets on sources or on all traffic. The rule's conditions narrow it.
struct RuleLimit {
  enum class Kind : std::uint8_t {
    kConnlimit,   // xt_connlimit: connections
    kNftCtCount,  // nft `ct count`: connections
    kHashlimit,   // rate
    kLimit,       // rate
  };
  Kind kind = Kind::kConnlimit;
  // What the limit counts by; kEverything: `limit`, or a `ct count` outside a set.
  enum class Per : std::uint8_t { kSource, kDestination, kEverything, kOther };
  Per per = Per::kEverything;
  bool matches_above = true;      // the rule matches beyond the limit; else within it
  std::uint64_t connections = 0;  // with kConnlimit and kNftCtCount: how many are allowed
  double rate_per_second = 0;     // with kHashlimit and kLimit
  bool rate_of_bytes = false;     // else of packets
  std::uint64_t burst = 0;
  std::uint8_t ipv4_prefix = 32;  // sources in one prefix are counted together
  std::uint8_t ipv6_prefix = 128;
  std::string set;  // nft: the set that holds the counts
};

// One element of a verdict map.
struct MappedVerdict {
  Verdict verdict = Verdict::kContinue;
  std::string jump_target = {};
  std::optional<AddressRange> addresses = {};  // if keyed by address
  std::optional<NumberRange> numbers = {};     // if keyed by port, protocol ... ...
  std::string interface = {};                  // if keyed by interface; a trailing '*' is a wildcard
  std::vector<RuleCondition> key = {};         // conditions on the packet, if the map's key is understood
  bool may_be_gone = false;                    // the map's elements may time out
};

// How a rule with verdict kNat translates a connection.
struct NatTarget {
  enum class Kind : std::uint8_t { kSource, kDestination, kMasquerade, kRedirect, kOther };
  Kind kind = Kind::kOther;
  std::optional<AddressRange> addresses;  // absent: unchanged, or unknown; masquerade and redirect: the host's own
  std::optional<NumberRange> ports;       // absent: unchanged, or unknown
  bool known = true;                      // false: an address or port is from a look-up
  // For a look-up in a map with known elements: the translation of each. `key` has the conditions on the packet; empty:
  // unknown, such as a hash.
  struct Choice {
    std::vector<RuleCondition> key;
    std::optional<AddressRange> addresses;
    std::optional<NumberRange> ports;
  };
  std::vector<Choice> choices = {};
};

// How a rule changes the packet's mark: (mark & keep) ^ flip, if `known`.
struct MarkChange {
  bool known = false;
  std::uint32_t keep = 0;
  std::uint32_t flip = 0;
};

// A conntrack zone that a rule puts the packet into before conntrack sees it.
struct ZoneChange {
  std::optional<std::uint16_t> zone;  // absent: from a look-up, or for one direction only
};

// `add @set { ip saddr ... }` in a rule, which makes the set's elements sources (or destinations).
struct SetUpdate {
  std::string set;
  bool by_source = false;       // the key is the source address alone
  bool by_destination = false;  // the key is the destination address alone
};

// For a rule with verdict kQueue: the queues that packets go to. If no program listens, the kernel drops them or, with
// `bypasses`, accepts them in this chain.
struct RuleQueue {
  NumberRange numbers;
  bool bypasses = false;
};

struct Rule {
  RuleBackend backend = RuleBackend::kNftables;
  RuleFamily family = RuleFamily::kIp;
  std::string table;
  std::string chain;
  std::uint64_t handle = 0;    // 0: the backend has none
  std::uint32_t position = 0;  // in its chain, from 0
  std::string text;            // as the tool prints it, without counters; not truncated
  std::string comment;
  Verdict verdict = Verdict::kContinue;  // a jump into a chain that only drops (rejects) is kDrop (kReject)
  std::string jump_target;               // of kJump and kGoto, and of such a kDrop or kReject
  bool by_goto = false;                  // no packet returns from there, whatever the verdict
  bool has_counter = false;

  std::vector<RuleCondition> conditions;
  bool fully_understood = false;  // every expression was decoded: `conditions` are complete (except limits)
  std::vector<RuleLimit> limits;
  std::vector<SetUpdate> set_updates;
  std::vector<MappedVerdict> map;              // of a verdict map
  std::optional<RuleCondition::Kind> map_key;  // the packet field that is its key, if known
  bool map_understood = false;                 // the keys of `map`, with `conditions`, decide the match completely
  std::string not_understood;                  // why `fully_understood` is false, except for the map: names, for people
  std::string log_prefix;
  std::optional<std::uint16_t> nflog_group;
  std::optional<NatTarget> nat;
  std::optional<MarkChange> mark;
  std::optional<ZoneChange> zone = {};
  std::vector<RuleCondition::Kind> rewrites = {};  // addresses and ports that it sets, past conntrack (`ip daddr set`)
  std::optional<RuleQueue> queue;
  bool takes_over = false;  // synproxy, fwd: no later rule decides, and nothing is refused
  bool untracks = false;    // NOTRACK: conntrack does not see the packet
  bool traces = false;      // TRACE, `meta nftrace set 1`
  bool tcp_reset = false;   // of kReject: TCP is answered with a RST
  // The set of the rule's last condition, if that looks up or adds the source. If its elements have counters and no
  // other rule uses the set, they count the packets per source that the rule matched.
  std::string counting_set;
  bool counting_ipset = false;
};

}  // namespace conntally
