// One rule: what it asks, what becomes of a packet that it matches, and what else it does. A plain value; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/addresses/ranges.h"
#include "collectors/rules/rule_condition.h"
#include "collectors/rules/rule_words.h"

namespace conntally {

// A limit that a rule puts upon sources or on everything. What narrows it are the rule's conditions.
struct RuleLimit {
  enum class Kind : std::uint8_t {
    kConnlimit,   // xt_connlimit: connections
    kNftCtCount,  // nft `ct count`: connections
    kHashlimit,   // rate
    kLimit,       // rate
  };
  Kind kind = Kind::kConnlimit;
  // Which the limit is counted for; kEverything: `limit`, or a `ct count` outside a set.
  enum class Per : std::uint8_t { kSource, kDestination, kEverything, kOther };
  Per per = Per::kEverything;
  bool matches_above = true;      // the rule matches what is over the limit; else what is within
  std::uint64_t connections = 0;  // with kConnlimit and kNftCtCount: how many are within
  double rate_per_second = 0;     // with kHashlimit and kLimit
  bool rate_of_bytes = false;     // else of packets
  std::uint64_t burst = 0;
  std::uint8_t ipv4_prefix = 32;  // sources are counted together by these prefixes
  std::uint8_t ipv6_prefix = 128;
  std::string set;  // nft: the set that holds the counts
};

// What a verdict map does with a key.
struct MappedVerdict {
  Verdict verdict = Verdict::kContinue;
  std::string jump_target = {};
  std::optional<AddressRange> addresses = {};  // of a map keyed by address
  std::optional<NumberRange> numbers = {};     // of one keyed by port, protocol ...
  std::string interface = {};  // of one keyed by interface; one that ends in '*' stands for all names that begin so
  std::vector<RuleCondition> key = {};  // of any map whose key is understood: what the packet must be
  bool may_be_gone = false;             // of a map whose elements time out
};

// What a rule of verdict kNat makes of a connection's addresses.
struct NatTarget {
  enum class Kind : std::uint8_t { kSource, kDestination, kMasquerade, kRedirect, kOther };
  Kind kind = Kind::kOther;
  std::optional<AddressRange> addresses;  // absent: unchanged, or not known; masquerade and redirect: the host's own
  std::optional<NumberRange> ports;       // absent: unchanged, or not known
  bool known = true;                      // false: an address or a port is looked up somewhere
  // Of one that is looked up in a map whose elements are known: what each makes of it. `key` is what the packet must be
  // for that; empty: not known, such as a hash of it.
  struct Choice {
    std::vector<RuleCondition> key;
    std::optional<AddressRange> addresses;
    std::optional<NumberRange> ports;
  };
  std::vector<Choice> choices = {};
};

// What a rule makes of the packet's mark: (mark & keep) ^ flip; nothing is known of it unless `known`.
struct MarkChange {
  bool known = false;
  std::uint32_t keep = 0;
  std::uint32_t flip = 0;
};

// `add @set { ip saddr ... }` in a rule, which makes the set's elements sources (or destinations).
struct SetUpdate {
  std::string set;
  bool by_source = false;       // the key is the source address alone
  bool by_destination = false;  // the destination address alone
};

// Of a rule of verdict kQueue: which queues packets go to. Where nobody listens the kernel drops them, or lets them
// pass the rule's chain.
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
  std::string text;            // as the tool prints it, without counters; whole, not cut
  std::string comment;
  Verdict verdict = Verdict::kContinue;  // a jump into a chain that only drops (rejects) is kDrop (kReject)
  std::string jump_target;               // of kJump and kGoto, and of such a drop
  bool by_goto = false;                  // no packet comes back from there, whatever the verdict stands for
  bool has_counter = false;

  std::vector<RuleCondition> conditions;
  bool fully_understood = false;  // every expression was decoded: `conditions` are all that it takes (limits aside)
  std::vector<RuleLimit> limits;
  std::vector<SetUpdate> set_updates;
  std::vector<MappedVerdict> map;              // of a verdict map
  std::optional<RuleCondition::Kind> map_key;  // what of the packet is looked up in it, if known
  bool map_understood = false;                 // with `conditions`, the keys of `map` are all that the rule takes
  std::string not_understood;                  // what keeps `fully_understood` false, the map aside: names, for people
  std::string log_prefix;
  std::optional<std::uint16_t> nflog_group;
  std::optional<NatTarget> nat;
  std::optional<MarkChange> mark;
  std::optional<RuleQueue> queue;
  bool takes_over = false;  // synproxy, fwd: no rule decides any more, and nothing is refused
  bool untracks = false;    // NOTRACK: conntrack is not to see the packet
  bool traces = false;      // TRACE, `meta nftrace set 1`
  bool tcp_reset = false;   // of kReject: a TCP connection is answered by a RST
  // The set that the source is looked up in (or added to) as the last thing that the rule asks of a packet: where its
  // elements have counters, and no other rule uses it, they count for each source the packets that the rule matched.
  std::string counting_set;
  bool counting_ipset = false;
};

}  // namespace conntally
