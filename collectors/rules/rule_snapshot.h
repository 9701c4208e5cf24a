// What the firewall's rules are and what they have counted at one moment, as plain values: nftables (which holds the rules of
// iptables-nft, too) and the legacy tables. Immutable once published; any thread.
//
// What changes only with a generation (rules, chains, texts, conditions) is in a Ruleset that snapshots share; what packets
// change (counters, elements of dynamic sets) is in the RulesetSnapshot. Indexes tie them: counters[i] belongs to rules[i].
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectors/tally/ranges.h"

namespace conntally {

enum class RuleBackend : std::uint8_t { kNftables, kIptablesLegacy, kIp6tablesLegacy };
inline constexpr std::size_t kRuleBackends = 3;
const char* NameOf(RuleBackend backend);  // "nftables", "iptables-legacy", "ip6tables-legacy"

// As nft writes them. Legacy tables are kIp or kIp6.
enum class RuleFamily : std::uint8_t { kIp, kIp6, kInet, kArp, kBridge, kNetdev };
const char* NameOf(RuleFamily family);

// What becomes of a packet that the rule matches.
enum class Verdict : std::uint8_t {
  kContinue,  // nothing: the rule only counts, marks, fills a set ...
  kAccept,
  kDrop,
  kReject,
  kReturn,
  kJump,
  kGoto,
  kLog,    // LOG, NFLOG, `log`; and the packet goes on
  kQueue,
  kNat,    // dnat, snat, masquerade, redirect
  kMap,    // a verdict map with more than one kind of verdict: see Rule::map
  kOther,  // some target of which conntally knows the name alone
};
const char* NameOf(Verdict verdict);

struct RuleCounter {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const RuleCounter&, const RuleCounter&) = default;
};

// One thing a packet must satisfy. The values of a condition are alternatives: any one of them is enough, and with `negated` none
// of them may hold. A rule's conditions must all hold.
struct RuleCondition {
  enum class Kind : std::uint8_t {
    kSource,           // addresses, or `set`
    kDestination,      // addresses, or `set`
    kFamily,           // numbers: NFPROTO_IPV4 (2) or NFPROTO_IPV6 (10)
    kProtocol,         // numbers: IPPROTO_*
    kSourcePort,       // numbers
    kDestinationPort,  // numbers
    kInInterface,      // interfaces
    kOutInterface,     // interfaces
    kConntrackState,   // numbers: NF_CT_STATE_BITs: invalid 1, established 2, related 4, new 8, untracked 64; any bit is enough
    kIcmpType,         // numbers
    kTcpFlags,         // numbers: first is the value, last the mask
    kIcmpCode,         // numbers
    kInInterfaceIndex,   // numbers
    kOutInterfaceIndex,  // numbers
    kMark,               // numbers: first is the value, last the mask
    kConntrackStatus,    // numbers: IPS_* bits; any bit is enough. Known here: IPS_SRC_NAT 16, IPS_DST_NAT 32
    kSourceType,         // numbers: RTN_*: unicast 1, local 2, broadcast 3, multicast 5 ...
    kDestinationType,    // as kSourceType
    kPacketType,         // numbers: PACKET_*: host 0, broadcast 1, multicast 2
    kReversePath,        // numbers: 1: there is a way back to the source over the interface that it came in by
    kTuple,              // alternatives: each is conditions that must all hold (a set of concatenations)
  };
  Kind kind = Kind::kSource;
  bool negated = false;
  std::vector<AddressRange> addresses;
  std::vector<NumberRange> numbers;
  std::vector<std::string> interfaces;  // one that ends in '*' stands for all names that begin so
  // A named set (nftables: of the rule's family and table; else an ipset): its elements are in the snapshot. Elements of
  // anonymous sets stand in `addresses`, `numbers` and `interfaces`.
  std::string set;
  bool ipset = false;
  std::vector<std::vector<RuleCondition>> alternatives = {};  // of kTuple
};

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
  std::string set;                // nft: the set that holds the counts
};

// What a verdict map does with a key.
struct MappedVerdict {
  Verdict verdict = Verdict::kContinue;
  std::string jump_target = {};
  std::optional<AddressRange> addresses = {};  // of a map keyed by address
  std::optional<NumberRange> numbers = {};     // of one keyed by port, protocol ...
  std::string interface = {};                  // of one keyed by interface; one that ends in '*' stands for all names that begin so
  std::vector<RuleCondition> key = {};         // of any map whose key is understood: what the packet must be
  bool may_be_gone = false;                    // of a map whose elements time out
};

// What a rule of verdict kNat makes of a connection's addresses.
struct NatTarget {
  enum class Kind : std::uint8_t { kSource, kDestination, kMasquerade, kRedirect, kOther };
  Kind kind = Kind::kOther;
  std::optional<AddressRange> addresses;  // absent: unchanged, or not known; masquerade and redirect: the host's own
  std::optional<NumberRange> ports;       // absent: unchanged, or not known
  bool known = true;                      // false: an address or a port is looked up somewhere
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
  bool has_counter = false;

  std::vector<RuleCondition> conditions;
  bool fully_understood = false;  // every expression was decoded: `conditions` are all that it takes (limits aside)
  std::vector<RuleLimit> limits;
  std::vector<SetUpdate> set_updates;
  std::vector<MappedVerdict> map;             // of a verdict map
  std::optional<RuleCondition::Kind> map_key;  // what of the packet is looked up in it, if known
  bool map_understood = false;                // with `conditions`, the keys of `map` are all that the rule takes
  std::string not_understood;                 // what keeps `fully_understood` false, the map aside: names, for people
  std::string log_prefix;
  std::optional<std::uint16_t> nflog_group;
  std::optional<NatTarget> nat;
  std::optional<MarkChange> mark;
  bool untracks = false;                      // NOTRACK: conntrack is not to see the packet
  bool traces = false;                        // TRACE, `meta nftrace set 1`
  bool tcp_reset = false;                     // of kReject: a TCP connection is answered by a RST
  // The set that the source is looked up in (or added to) as the last thing that the rule asks of a packet: where its elements have
  // counters, and no other rule uses it, they count for each source the packets that the rule matched.
  std::string counting_set;
  bool counting_ipset = false;
};

struct RuleChain {
  RuleBackend backend = RuleBackend::kNftables;
  RuleFamily family = RuleFamily::kIp;
  std::string table;
  std::string name;
  bool base = false;  // hooked; the following are for base chains alone
  std::string type;   // "filter", "nat", "route"
  std::string hook;   // "prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"
  std::vector<std::string> devices;  // of "ingress" and "egress"
  std::int32_t priority = 0;  // of legacy tables: the kernel's fixed one
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
  std::size_t rules_without_counter = 0;
  bool by_iptables = false;  // of nftables: iptables-nft (or ip6tables-nft) made it, and reads it
};

// One backend's rules, of one generation.
struct Ruleset {
  RuleBackend backend = RuleBackend::kNftables;
  std::uint32_t generation = 0;  // nftables: the kernel's; legacy: counted by conntally
  std::vector<RuleTable> tables;
  std::vector<RuleChain> chains;  // by table
  std::vector<Rule> rules;        // chain by chain, in the order of evaluation
  bool uses_ipsets = false;
};

struct SetElement {
  AddressRange addresses;
  std::optional<RuleCounter> counter;
  bool no_match = false;  // ipset `nomatch`: an exception
};

// A named set of addresses: a blocklist, or a dynamic set that rules fill.
struct RuleSet {
  bool ipset = false;
  RuleFamily family = RuleFamily::kIp;  // nftables: with `table`, whose set it is
  std::string table;
  std::string name;
  Family address_family = Family::kIpv4;
  bool dynamic = false;   // filled by rules
  bool complete = true;   // false: more elements than are read, or some not understood
  bool expires = false;   // elements may leave by themselves
  bool of_sets = false;   // an ipset of ipsets (list:set), whose look-ups count in those as well
  std::vector<SetElement> elements;
};

// What became of rules between the reading before and this one, as far as the kernel told it: of those with a counter of their own.
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
struct RulesetSnapshot {
  bool present = false;  // the kernel has this backend, and conntally may read it
  bool success = false;
  bool lacks_capability = false;  // not present for want of one, which `failure` names
  std::string failure;   // why not
  double duration_seconds = 0;
  std::shared_ptr<const Ruleset> ruleset;             // never null when `present`
  std::vector<std::optional<RuleCounter>> counters;   // by rule; nullopt: the rule has none
  std::vector<std::optional<RuleCounter>> policies;   // by chain
  std::shared_ptr<const std::vector<RuleSet>> sets;   // never null when `present`
  RuleChanges changes;
};

struct RuleSnapshot {
  std::map<RuleBackend, RulesetSnapshot> backends;  // those that are configured
  std::shared_ptr<const std::vector<RuleSet>> ipsets;  // null unless some rule uses one
};

}  // namespace conntally
