// Walks a packet through all rules of a reading, in the kernel's order: the hooks, in each hook the base chains of
// nftables and of the legacy tables by priority, in each chain the rules, with jumps, sets, maps and NAT. If a field of
// the packet is unknown, or a rule is not understood, the walk follows all possibilities and reports that; it never
// guesses.
//
// The caller says whether limits are reached: if so, rules that match beyond their limit match, and rules that match
// within it do not. Walk::limited lists the rules with limits that the packet met.
//
// Pure: depends on the reading, the packet and the caller's routing. One thread at a time.
//
// Sources: net/netfilter/core.c (nf_hook_entries_grow), nf_tables_core.c (nft_do_chain), x_tables.c, nf_nat_core.c
// (nf_nat_inet_fn).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/walk/chain_graph.h"
#include "collectors/rules/walk/match/condition_match.h"
#include "collectors/rules/walk/match/packet.h"

namespace conntally {

enum class Limits : std::uint8_t { kWithin, kReached, kNotKnown };

// The program at a rule's queue. With a stuck one, packets wait for a verdict that does not come.
enum class QueueReader : std::uint8_t { kNone, kStuck, kDecides };

// What the rules do not contain: routing (a function may be empty, or return nullopt: unknown), and limits.
struct WalkRouting {
  std::function<std::optional<bool>(const IpAddress&)> is_local;
  std::function<std::optional<PacketInterface>(const Packet&)> way_out;
  // This host's address on a link, which masquerading gives to packets that leave by it.
  std::function<std::optional<IpAddress>(const PacketInterface& link, Family family)> address_of;
  std::function<std::optional<QueueReader>(std::uint32_t queue)> reader_of;
  Limits limits = Limits::kWithin;
};

struct RuleRef {
  RuleBackend backend = RuleBackend::kNftables;
  std::size_t rule = 0;
  friend auto operator<=>(const RuleRef&, const RuleRef&) = default;
};
struct ChainRef {
  RuleBackend backend = RuleBackend::kNftables;
  std::size_t chain = 0;
  friend auto operator<=>(const ChainRef&, const ChainRef&) = default;
};

// One possible end of the packet: by a rule, or by a policy.
struct Decision {
  Verdict verdict = Verdict::kAccept;  // kDrop, kReject
  Match certainty = Match::kYes;       // kMaybe: its match, or an earlier one, is unknown
  Answer by_itself;                    // of the rule and its jumps alone, ignoring earlier rules
  ChainRef base;                       // the base chain in which it was decided; for a policy, its chain
  std::optional<RuleRef> rule;         // absent: the policy
  std::vector<RuleRef> jumps;          // to the rule, the outermost first

  // Whether every packet that gets here ends here.
  bool takes_all_that_comes() const { return by_itself.match == Match::kYes; }
};

struct Unevaluated {
  RuleRef rule;
  std::string why;
};

struct Walk {
  Match passes = Match::kYes;   // kYes: nothing stops it
  std::vector<Decision> stops;  // in the order of the walk; if passes is kNo, the last one ends it
  std::optional<Decision>
      late_accept;             // a rule that accepts the packet, after the one that stops it, in the same base chain
  std::vector<ChainRef> path;  // base chains, in the order passed
  std::vector<Unevaluated> unevaluated;    // rules that may have decided otherwise; not all of them, if very many
  std::vector<RuleRef> limited;            // rules with limits that the packet met
  std::optional<RuleRef> destination_nat;  // the rule applied
  bool destination_nat_open = false;  // some rule may have changed the destination, or changed it to one of several
  std::optional<RuleRef> source_nat;
  bool source_nat_open = false;  // some rule may have changed the source
  std::optional<RuleRef> untracked_by;
  std::optional<RuleRef> zone_by;  // the last rule that set packet.zone
  bool forwarded = false;          // it went through the forward hook, or would have done
  bool cut_short = false;          // too many steps
  bool open = false;               // some rule that it may have met has an unknown effect
  Packet packet;                   // at the end: with the addresses and the state that the stopping rule saw

  // The decision that certainly stops the packet, else nullptr.
  const Decision* stop() const { return passes == Match::kNo && !stops.empty() ? &stops.back() : nullptr; }
};

class PacketWalker {
 public:
  static constexpr std::size_t kStepsMax = 4'000'000;  // rules examined in one walk
  static constexpr std::size_t kUnevaluatedMax = 100;

  // Both must outlive it. For `before` see ConditionMatcher.
  explicit PacketWalker(const FirewallReading& snapshot, const FirewallReading* before = nullptr);

  // A packet that arrives by `packet.in`: for this host, or through it if packet.destination_is_local is false.
  // `packet.out` is its outgoing link; absent: by routing.
  Walk Arrives(Packet packet, const WalkRouting& routing) const;
  // A packet that this host sends; if it is for this host, it also comes in.
  Walk Leaves(Packet packet, const WalkRouting& routing) const;
  // A packet from one port of the bridge `packet.in` to another: it meets rules of the bridge family and, with
  // `meets_ip_rules` (net.bridge.bridge-nf-call-iptables), IP rules as if it were forwarded.
  Walk Bridged(Packet packet, const WalkRouting& routing, bool meets_ip_rules) const;
  // A packet in one base chain only, of which it is enough to know that it came there: its stops, and whether it
  // passes. Does not report unevaluated rules or late accepts.
  Walk In(ChainRef base, const Packet& packet, Limits limits) const;

  // Base chains that have rules or drop, and that no walk goes through: for ARP, and for devices that are not named.
  const std::vector<ChainRef>& not_walked() const { return not_walked_; }
  const Rule& rule(RuleRef ref) const;
  const RuleChain& chain(ChainRef ref) const;
  const RuleChain* ChainNamed(RuleBackend backend, RuleFamily family, std::string_view table,
                              std::string_view name) const;
  const ChainGraph& graph(RuleBackend backend) const { return graphs_.at(backend); }
  const ConditionMatcher& matcher() const { return matcher_; }
  const FirewallReading& snapshot() const { return snapshot_; }

 private:
  friend class WalkRun;
  enum Hook : std::uint8_t { kPrerouting, kInput, kForward, kOutput, kPostrouting, kIngress, kEgress, kHooks };
  struct Hooked {
    ChainRef ref;
    bool nat = false;
    std::int32_t priority = 0;  // nat: the priority of the kernel's hook for all nat chains
    std::int32_t inner = 0;     // nat: its order among them
  };
  const FirewallReading& snapshot_;
  ConditionMatcher matcher_;
  std::map<RuleBackend, ChainGraph> graphs_;
  std::array<std::vector<Hooked>, kHooks> hooks_;
  std::array<std::vector<Hooked>, kHooks> bridge_hooks_;
  std::vector<ChainRef> not_walked_;
};

}  // namespace conntally
