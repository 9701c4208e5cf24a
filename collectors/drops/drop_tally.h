// Counts dropped packets by source and rule. It joins the reports of all ways (eBPF, NFLOG, LOG, sets), so that each
// packet counts once.
//
// How the ways are joined. While the eBPF program works, only it counts, since it sees every drop. A log rule then only
// provides its prefix as the rule's name: a logged packet names one counted packet of the same source, protocol,
// destination port and hook that was dropped at about the same time. That packet moves from no rule to the prefix,
// under the log's `via`. No more packets are named than were counted, and logged packets that were not dropped are
// ignored. While eBPF does not work, NFLOG and LOG count: a packet that both report (the same key at about the same
// time) counts as NFLOG's. Then a group or prefix that also logs accepted packets counts these too, since they cannot
// be told apart.
//
// Sets with counters report the same packets a third time, some seconds late and only by source. So they count only
// while eBPF does not, and only packets that no log reported: what the logs reported of a source is subtracted from a
// set's count.
//
// Packets that eBPF counted and no log named may be attributed to a rule by the rules' counters (Attribute). They wait
// until these are read, at most kAttributionWait, and are then counted with or without a rule.
//
// "At about the same time": the owner drains all ways in rounds. Counted packets wait one round for a name, logged ones
// two rounds for a packet to name. So a packet appears one round late, and a published packet never changes its rule:
// counters never decrease.
//
// Recent drops are also kept tuple by tuple (recent_drops.h). A packet that waits for its rule is there without one.
//
// A packet counts for the source of its connection's original direction, if known (DropKey::ends). Logs and rules are
// matched by the packet's own header.
//
// Bounds: `tracked_max` sources (Space-Saving), a few named rules per source (rule_shares.h), a number of rule names
// (rule_names.h), kLoggedMax waiting logged packets. What they turn away is counted, and a packet without room for its
// name still counts, without a rule.
//
// Threads: any; a mutex guards it.
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

// Packets of one source that one rule dropped, by one way.
struct DropShare {
  std::string rule;  // empty: not known
  DropVia via = DropVia::kEbpf;
  std::uint64_t packets = 0;
};

struct SourceDrops {
  IpAddress source;
  std::vector<DropShare> shares;  // summed, each dropped packet once
  std::uint64_t packets = 0;      // their sum: exact since first_seen
  std::uint64_t forgotten = 0;    // of the packets without a rule, those that had a name before: not new drops
  std::uint64_t error = 0;        // how many more packets it may have lost before it got its entry
  double rate = 0;                // packets per second, smoothed over about kRateWindow
  std::chrono::steady_clock::time_point first_seen{};
  std::chrono::steady_clock::time_point last_seen{};
  std::chrono::steady_clock::time_point last_dropped{};  // when the kernel dropped it, not when its rule was found
  std::vector<DropTarget> targets = {};  // recent ones, the most packets first; none for a single packet
  double distinct_ports = 0;             // recent ones, estimated
  double distinct_pairs = 0;             // likewise, of a destination and a port, where the destination is known
};

class DropTally {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kRateWindow{10};
  static constexpr std::size_t kLoggedMax = 65'536;
  // Keys that wait for a rule: beyond the first bound they wait without their destination, beyond both they count
  // without a rule.
  static constexpr std::size_t kUnattributedMax = 16'384;
  static constexpr std::size_t kUnattributedSourcesMax = 8192;
  static constexpr std::chrono::seconds kAttributionWait{11};
  static constexpr std::chrono::seconds kSetWait{2};  // until the logs have reported everything

  struct Options {
    std::uint32_t tracked_max = 65'536;
    SourceGrouping grouping = {};
  };

  DropTally(const Options& options, KeyedHash hash);

  // Call it before adding: whether eBPF counts. If not, the logs do.
  void set_ebpf_counts(bool counts);

  // Call these within a round, in any order.
  void AddCounted(const CountedDrop& drop);
  void AddLogged(const LoggedPacket& packet);
  // What sets counted since the last call; call it also with nothing. The logs are remembered by source only after the
  // first call.
  void AddSetCounted(std::vector<SetCountedDrop> drops, Time now);
  void EndRound(Time now);

  // The named networks by which packets are counted from now on, by their own source address.
  void set_groups(std::shared_ptr<const NetworkGroups> groups);

  // Whether counted packets wait to be attributed. Initially false.
  void set_attributes(bool attributes);
  // Calls `rule_of` for all keys that wait, the most packets first. It returns the rule and its hook; an empty rule:
  // there is none; nullopt: ask again later.
  struct NamedRule {
    NamedRule(std::string rule, std::optional<HookSet> its_hook = std::nullopt)
        : text(std::move(rule)), hook(its_hook) {}
    std::string text;
    std::optional<HookSet> hook;
  };
  using RuleOf = std::function<std::optional<NamedRule>(const DropKey& key, std::uint64_t packets)>;
  void Attribute(const RuleOf& rule_of, Time now);

  // Call it at the end: nothing waits any longer.
  void Settle(Time now);

  std::optional<SourceDrops> Find(const IpAddress& source, std::chrono::steady_clock::time_point now) const;
  // All tracked sources, in no order.
  std::vector<SourceDrops> Sources(std::chrono::steady_clock::time_point now) const;

  // Tracked sources with their present rate, in no order, for a ranking. Omits sources that only got an entry for a
  // moment in a flood of others: those with no more packets than their error.
  struct Rated {
    IpAddress source;
    double rate = 0;
  };
  std::vector<Rated> Rates(std::chrono::steady_clock::time_point now) const;

  // The recent drops for which `wanted` is true (it sees no rule text), in no order: at most kRowsMax rows of
  // RecentDrops, plus at most kUnattributedMax that wait for a rule.
  std::vector<RecentDrop> Recent(const std::function<bool(const RecentDrop&)>& wanted) const;
  // The sources whose rows stay longest when there is no room for all.
  void set_regulars(std::set<IpAddress> regulars);

  struct Figures {
    std::array<std::uint64_t, kDropVias> packets{};                  // all counted packets, tracked or not, by DropVia
    std::array<std::uint64_t, kNamedGroupsMax + 1> group_packets{};  // by GroupIndex; not counted for kOtherGroup
    std::uint64_t to_many = 0;                                       // packets to broadcast and multicast addresses
    std::uint64_t sources_evicted = 0;                               // that lost their entry to another
    std::uint64_t rules_turned_away =
        0;  // packets whose rule name had no room, while waiting or at their source, or made room for another
    std::uint64_t logged_turned_away = 0;  // logged packets without room to wait
    std::uint64_t set_turned_away = 0;     // packets counted by sets, maybe logged: no room to check
    std::uint64_t recent_turned_away = 0;  // packets of recent tuples that made room for others
  };
  Figures figures() const;

 private:
  struct Breakdown {
    RuleShares shares;
    double recent = 0;  // packets, each decaying with kRateWindow; at `recent_at`
    std::chrono::steady_clock::time_point recent_at{};
    std::chrono::steady_clock::time_point first_seen{};
    std::chrono::steady_clock::time_point last_dropped{};
    std::unique_ptr<DropTargets> targets;  // from the second packet on: forged sources have only one
  };
  using Table = SpaceSaving<Breakdown>;

  // What a logged packet and a counted one must have in common, besides hooks.
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
    std::uint64_t packets = 0;   // not matched yet
    std::uint64_t unpaired = 0;  // of NFLOG: not reported by LOG too, so far
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
  const KeyedHash hash_;
  mutable std::mutex mutex_;
  bool ebpf_counts_ = false;
  std::shared_ptr<const NetworkGroups> groups_;  // null: none
  Table table_;
  RuleNames names_;
  std::vector<CountedDrop> waiting_;  // of the previous round
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
  AllUnattributed unattributed_;          // with known destination
  AllUnattributed unattributed_sources_;  // without destination: already in the recent drops, without a rule
  RecentDrops recent_;
  // A packet dropped before the n-th batch of set counts was read is in that batch. The logs report it within a second,
  // when n or more batches have come; or n - 1 or n - 2, since a batch comes a moment after it was read.
  struct SetBatch {
    std::vector<SetCountedDrop> drops;
    std::uint64_t number = 0;  // from 1
    std::chrono::steady_clock::time_point arrived;
  };
  struct ToldByLogs {
    std::uint64_t batches = 0;  // that had come by then, before this report
    std::uint64_t packets = 0;  // not subtracted yet
  };
  bool sets_count_ = false;
  std::uint64_t batches_ = 0;
  std::vector<SetBatch> set_batches_;                          // not settled yet
  std::map<IpAddress, std::vector<ToldByLogs>> told_by_logs_;  // in order of arrival
  std::size_t told_waiting_ = 0;                               // entries in all of its lists
  std::uint64_t told_forgotten_ = 0;  // batches that had come when a report had no room, plus 1; 0: never
  std::uint64_t round_ = 0;
  Time last_{};
  Figures figures_;
};

}  // namespace conntally
