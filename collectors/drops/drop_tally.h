// Who was dropped, by which rule, in how many packets: what all collectors of drops tell, joined so that a packet is
// counted once.
//
// How the ways are joined. While the eBPF program works, it alone counts, since it sees every drop. A log rule then
// only lends its prefix as the rule's name: a logged packet names one counted packet of the same source, protocol,
// destination port and hook that was dropped at about the same time, and that packet moves from no rule to the prefix,
// under the log's `via`. Never more are named than were counted, and what a log rule tells of packets that were not
// dropped is forgotten. While eBPF does not work, NFLOG and LOG are the counts: a packet that both told of (the same
// key at about the same time) counts as NFLOG's. Then a group, or a prefix, that also tells of packets which are let
// through counts those as well: it cannot be known.
//
// Sets with counters tell the same packets a third time, some seconds late and by source alone. So they count only
// while eBPF does not, and only what the logs did not: whatever a log told of the source since is taken off what a set
// counted.
//
// What eBPF counted and no log named may be attributed to a rule by the rules' own counters (Attribute). Until these
// are read, at most kAttributionWait, it waits, and is counted then with its rule or without.
//
// "At about the same time": the owner drains all ways in rounds. Counted packets wait one round for their names, logged
// ones two for what they name, so a packet shows up one round late, and what was published never changes its rule:
// counters never fall.
//
// What was dropped of late is told tuple by tuple besides (recent_drops.h). What waits for its rule is told there with
// none until it has one.
//
// Whose a packet is: the source of its connection's original direction, where that is known (DropKey::ends). Logs and
// rules are compared with what the packet itself said.
//
// Bounds: `tracked_max` sources (Space-Saving), a few rules of each by name (rule_shares.h), so many names of rules
// (rule_names.h), kLoggedMax logged packets waiting; what they turn away is counted, and a packet without room for its
// name is still counted, as of no rule.
//
// Threads: any; a mutex keeps callers apart.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "collectors/addresses/address.h"
#include "collectors/addresses/keyed_hash.h"
#include "collectors/addresses/network_groups.h"
#include "collectors/drops/drop_event.h"
#include "collectors/drops/drop_targets.h"
#include "collectors/drops/recent_drops.h"
#include "collectors/drops/rule_names.h"
#include "collectors/drops/rule_shares.h"
#include "collectors/tally/space_saving.h"

namespace conntally {

// Packets of one source that one rule dropped, as far as one way told.
struct DropShare {
  std::string rule;  // empty: not known
  DropVia via = DropVia::kEbpf;
  std::uint64_t packets = 0;
};

struct SourceDrops {
  IpAddress source;
  std::vector<DropShare> shares;  // summed, each dropped packet once
  std::uint64_t packets = 0;      // their sum: exact since first_seen
  std::uint64_t forgotten = 0;    // of those of no rule, the ones that had its name once: they are no news
  std::uint64_t error = 0;        // how many more it may have been before, when another source had its entry
  double rate = 0;                // packets per second, smoothed over about kRateWindow
  std::chrono::steady_clock::time_point first_seen{};
  std::chrono::steady_clock::time_point last_seen{};
  std::chrono::steady_clock::time_point last_dropped{};  // when the kernel dropped it, not when its rule was found
  std::vector<DropTarget> targets = {};                  // of late, the most packets first; not of a single packet
  double distinct_ports = 0;                             // likewise, estimated
};

class DropTally {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kRateWindow{10};
  static constexpr std::size_t kLoggedMax = 65'536;
  // Keys that wait for a rule: past the first bound those without their destination, past both they are counted without
  // one.
  static constexpr std::size_t kUnattributedMax = 16'384;
  static constexpr std::size_t kUnattributedSourcesMax = 8192;
  static constexpr std::chrono::seconds kAttributionWait{11};
  static constexpr std::chrono::seconds kSetWait{2};  // until the logs have told what they will

  struct Options {
    std::uint32_t tracked_max = 65'536;
    SourceGrouping grouping = {};
  };

  DropTally(const Options& options, KeyedHash hash);

  // Before anything is added: whether eBPF counts. Without, the logs do.
  void set_ebpf_counts(bool counts);

  // Within a round, in any order.
  void AddCounted(const CountedDrop& drop);
  void AddLogged(const LoggedPacket& packet);
  // What sets counted since the last call; also when that is nothing. Only once somebody calls it the logs are
  // remembered by source.
  void AddSetCounted(std::vector<SetCountedDrop> drops, Time now);
  void EndRound(Time now);

  // The named networks that packets are counted by from now on, by their own source address.
  void set_groups(std::shared_ptr<const NetworkGroups> groups);

  // Whether counted packets wait to be attributed. Off at first.
  void set_attributes(bool attributes);
  // Asks `rule_of` for the rule of all that wait, the most packets first. Its answer: the rule, and its hook; or empty,
  // there is none; or nullopt, ask again later.
  struct NamedRule {
    NamedRule(std::string rule, std::optional<HookSet> its_hook = std::nullopt)
        : text(std::move(rule)), hook(its_hook) {}
    std::string text;
    std::optional<HookSet> hook;
  };
  using RuleOf = std::function<std::optional<NamedRule>(const DropKey& key, std::uint64_t packets)>;
  void Attribute(const RuleOf& rule_of, Time now);

  // At the end, when no further round comes: nothing waits any longer.
  void Settle(Time now);

  std::optional<SourceDrops> Find(const IpAddress& source, std::chrono::steady_clock::time_point now) const;
  // All sources that are tracked, in no order.
  std::vector<SourceDrops> Sources(std::chrono::steady_clock::time_point now) const;

  // Tracked sources by their present rate, in no order, for a ranking. Those are left out that are only there because a
  // flood of others gives everybody an entry for a moment: whose packets are no more than their error.
  struct Rated {
    IpAddress source;
    double rate = 0;
  };
  std::vector<Rated> Rates(std::chrono::steady_clock::time_point now) const;

  // What was dropped of late, as far as `wanted` says so (without the rule's text), in no order: kRowsMax rows of
  // RecentDrops, and besides those that wait for a rule, kUnattributedMax at most.
  std::vector<RecentDrop> Recent(const std::function<bool(const RecentDrop&)>& wanted) const;
  // Whose rows stay longest where there is no room for all.
  void set_regulars(std::set<IpAddress> regulars);

  struct Figures {
    std::array<std::uint64_t, kDropVias> packets{};  // all that were counted, tracked or not, by DropVia
    std::array<std::uint64_t, kNamedGroupsMax + 1> group_packets{};  // by GroupIndex; of kOtherGroup nothing is counted
    std::uint64_t sources_evicted = 0;                               // that lost their entry to another
    std::uint64_t rules_turned_away =
        0;  // packets whose rule's name found no room, waiting or by its source, or made room for another's
    std::uint64_t logged_turned_away = 0;  // logged packets that found no room to wait in
    std::uint64_t set_turned_away = 0;  // packets counted by sets that the logs may have told of, without room to know
    std::uint64_t recent_turned_away = 0;  // packets of tuples that made room among those of late
  };
  Figures figures() const;

 private:
  struct Breakdown {
    RuleShares shares;
    double recent = 0;  // packets, each fading with kRateWindow; as of `recent_at`
    std::chrono::steady_clock::time_point recent_at{};
    std::chrono::steady_clock::time_point first_seen{};
    std::chrono::steady_clock::time_point last_dropped{};
    std::unique_ptr<DropTargets> targets;  // from the second packet on: forged sources have one
  };
  using Table = SpaceSaving<Breakdown>;

  // What a logged packet and a counted one must have in common, hooks aside.
  struct Likeness {
    IpAddress source;
    std::optional<IpAddress> destination;
    std::uint8_t protocol = 0;
    std::uint16_t destination_port = 0;
    friend bool operator==(const Likeness&, const Likeness&) = default;
  };
  struct LikenessHash {
    KeyedHash hash;
    std::size_t operator()(const Likeness& likeness) const;
  };
  struct Logged {
    HookSet hooks;
    DropVia via = DropVia::kNflog;
    RuleName rule = 0;
    std::uint64_t packets = 0;   // not accounted for yet
    std::uint64_t unpaired = 0;  // of NFLOG: not told of by LOG as well, as far as is known
    std::uint64_t round = 0;
    std::uint32_t interface = 0;
    std::optional<std::uint8_t> icmp_type = std::nullopt;
  };

  static Likeness LikenessOf(const DropKey& key) {
    return {key.source, key.destination, key.protocol, key.destination_port};
  }
  RuleName Intern(const std::string& rule);
  void MakeRoomForNames();
  void Remember(const LoggedPacket& packet);
  void SettleCounted(const CountedDrop& drop, Time now);
  void SettleLogged(Time now, std::uint64_t rounds);
  void SettleSets(Time now, std::chrono::steady_clock::duration age);
  void ForgetTold(std::uint64_t batch);
  void RememberTold(const IpAddress& source, std::uint64_t packets);
  void TakeOffLogged(SetCountedDrop& drop);
  void SettleUnattributed(Time now, std::chrono::steady_clock::duration age);
  void Count(const DropKey& key, RecentDrops::Span span, DropVia via, RuleName rule, std::uint64_t packets, Time now);
  void CountSource(const DropKey& key, Time dropped, DropVia via, RuleName rule, std::uint64_t packets, Time now);
  SourceDrops Describe(const Table::Entry& entry, std::chrono::steady_clock::time_point now) const;

  const Options options_;
  mutable std::mutex mutex_;
  bool ebpf_counts_ = false;
  std::shared_ptr<const NetworkGroups> groups_;  // null: none
  Table table_;
  RuleNames names_;
  std::vector<CountedDrop> waiting_;  // of the round before
  std::vector<CountedDrop> arrived_;  // of this one
  std::unordered_map<Likeness, std::vector<Logged>, LikenessHash> logged_;
  std::uint64_t logged_waiting_ = 0;  // entries in all of its lists
  struct Unattributed {
    std::uint64_t packets = 0;
    RecentDrops::Span span;
  };
  using AllUnattributed = std::map<DropKey, Unattributed>;
  void CountUnattributed(const DropKey& key, const Unattributed& waiting, RuleName rule, Time now);
  bool attributes_ = false;
  AllUnattributed unattributed_;          // those whose destination is known
  AllUnattributed unattributed_sources_;  // those that are told of late already, without a rule
  RecentDrops recent_;
  // A packet that was dropped before the n-th batch of what sets counted was read is in that batch. The logs tell of it
  // within a second, when n batches or more have come; or, since a batch comes a moment after it was read, n - 1 or n
  // - 2.
  struct SetBatch {
    std::vector<SetCountedDrop> drops;
    std::uint64_t number = 0;  // from 1
    std::chrono::steady_clock::time_point arrived;
  };
  struct ToldByLogs {
    std::uint64_t batches = 0;  // that had come by then
    std::uint64_t packets = 0;  // not taken off yet
  };
  bool sets_count_ = false;
  std::uint64_t batches_ = 0;
  std::vector<SetBatch> set_batches_;                          // not settled yet
  std::map<IpAddress, std::vector<ToldByLogs>> told_by_logs_;  // in the order they came
  std::size_t told_waiting_ = 0;                               // entries in all of its lists
  std::uint64_t told_forgotten_ = 0;  // batches that had come when one found no room, plus 1; 0: never
  std::uint64_t round_ = 0;
  Time last_{};
  Figures figures_;
};

}  // namespace conntally
