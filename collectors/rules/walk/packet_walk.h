// A packet's way through all rules of a snapshot, in the order in which the kernel asks them: the hooks, in each the
// base chains of nftables and of the legacy tables by priority, in each the rules, with jumps, sets, maps and NAT. What
// is not known of the packet or not understood of a rule leaves several ways open, and is told; nothing is guessed.
//
// Of limits the caller says whether they are reached: a rule that matches what is beyond one matches then, and one that
// matches what is within does not. Walk::limited says which rules with limits the packet met.
//
// Pure: of the snapshot, the packet and what the caller knows of routing. One walker may be asked by one thread at a
// time.
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

// The program that a rule's queue leads to. Packets of a stuck one wait for a verdict that does not come.
enum class QueueReader : std::uint8_t { kNone, kStuck, kDecides };

// What rules do not tell: routing (either may be empty or answer nullopt: not known), and limits.
struct WalkRouting {
  std::function<std::optional<bool>(const IpAddress&)> is_local;
  std::function<std::optional<PacketInterface>(const Packet&)> way_out;
  // This host's address on a link, which masquerading gives to what leaves by it.
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

// One end that the packet may come to: a rule's, or a policy's.
struct Decision {
  Verdict verdict = Verdict::kAccept;  // kDrop, kReject
  Match certainty = Match::kYes;       // kMaybe: it, or something before it, could not be told
  Answer by_itself;                    // of the rule and the jumps that lead to it alone, whatever stands before them
  ChainRef base;                       // the base chain in which it was decided; of a policy, the chain that has it
  std::optional<RuleRef> rule;         // absent: the policy
  std::vector<RuleRef> jumps;          // that led to the rule, the outermost first

  // Whatever gets as far as this ends here.
  bool takes_all_that_comes() const { return by_itself.match == Match::kYes; }
};

struct Unevaluated {
  RuleRef rule;
  std::string why;
};

struct Walk {
  Match passes = Match::kYes;  // kYes: nothing stops it
  std::vector<Decision>
      stops;  // in the order in which they were met; the last of them ends the walk when passes is kNo
  std::optional<Decision>
      late_accept;             // a rule that accepts the packet, behind the one that stops it in the same base chain
  std::vector<ChainRef> path;  // base chains, as they were passed
  std::vector<Unevaluated>
      unevaluated;               // rules that might have decided otherwise; not all of them, if there are very many
  std::vector<RuleRef> limited;  // rules with limits that the packet met
  std::optional<RuleRef> destination_nat;  // that was applied
  bool destination_nat_open = false;  // some rule may or may not have changed the destination, or to one of several
  std::optional<RuleRef> source_nat;
  bool source_nat_open = false;  // some rule may or may not have changed the source
  std::optional<RuleRef> untracked_by;
  bool forwarded = false;  // it went through the forward hook, or would have
  bool cut_short = false;  // too many steps
  bool open = false;       // some rule that it may have met does nobody knows what
  Packet packet;           // as it was in the end: with the addresses and the state that the rule saw which stopped it

  // The decision that stops the packet for certain, else nullptr.
  const Decision* stop() const { return passes == Match::kNo && !stops.empty() ? &stops.back() : nullptr; }
};

class PacketWalker {
 public:
  static constexpr std::size_t kStepsMax = 4'000'000;  // rules looked at in one walk
  static constexpr std::size_t kUnevaluatedMax = 100;

  // The snapshot must outlive it, and so must `before`: see ConditionMatcher.
  explicit PacketWalker(const FirewallReading& snapshot, const FirewallReading* before = nullptr);

  // A packet that arrives, by `packet.in`: for this host, or through it when packet.destination_is_local is false.
  // `packet.out` is where it would leave; absent: as routing says.
  Walk Arrives(Packet packet, const WalkRouting& routing) const;
  // A packet that this host sends; it comes in again when it is for the host itself.
  Walk Leaves(Packet packet, const WalkRouting& routing) const;
  // A packet from one port of the bridge `packet.in` to another: it meets rules of the bridge family, and those of IP
  // as if it were forwarded where `meets_ip_rules` (net.bridge.bridge-nf-call-iptables).
  Walk Bridged(Packet packet, const WalkRouting& routing, bool meets_ip_rules) const;
  // A packet in one base chain alone, of which nothing need be known but that it came there: its stops, and whether it
  // passes. Nothing is told of what could not be evaluated, nor of late accepts.
  Walk In(ChainRef base, const Packet& packet, Limits limits) const;

  // Base chains that hold rules or drop, and that no walk goes through: of ARP, and of devices that are not named.
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
    std::int32_t priority = 0;  // of nat: where the kernel hooks all of them in
    std::int32_t inner = 0;     // of nat: among them
  };
  const FirewallReading& snapshot_;
  ConditionMatcher matcher_;
  std::map<RuleBackend, ChainGraph> graphs_;
  std::array<std::vector<Hooked>, kHooks> hooks_;
  std::array<std::vector<Hooked>, kHooks> bridge_hooks_;
  std::vector<ChainRef> not_walked_;
};

}  // namespace conntally
