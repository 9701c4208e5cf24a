// The recent drops by source, destination, place and rule, with the first and the last time. A row is one such tuple;
// its packets are exact since its first time.
//
// Bounded: a row is forgotten kFor after its last packet. Beyond kRowsMax the rows with the fewest packets make room,
// among equals those seen longest ago, and their packets count as turned away. So a sender with ever new addresses has
// rows of one packet, which displace each other. Rows of regular sources, which cannot be forged, stay longest.
//
// Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "collectors/addresses/keyed_hash.h"
#include "collectors/drops/drop_event.h"
#include "collectors/drops/rule_names.h"

namespace conntally {

// A row as returned. The caller fills in the interface's name.
struct RecentDrop {
  DropEnds ends;
  std::uint8_t protocol = 0;  // IPPROTO_*; 0: unknown
  std::optional<std::uint8_t> icmp_type;
  HookSet hooks = HookSet();
  std::uint32_t interface = 0;  // index of the one that it entered by or, if this host sent it, left by; 0: unknown
  std::string interface_name = {};
  std::string rule;  // empty: unknown, or not known yet
  DropVia via = DropVia::kEbpf;
  std::uint64_t packets = 0;
  std::chrono::steady_clock::time_point first{}, last{};
};

class RecentDrops {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::minutes kFor{10};
  static constexpr std::size_t kRowsMax = 16'384;

  // When the first and the last of some packets were dropped.
  struct Span {
    Time first, last;
  };

  explicit RecentDrops(KeyedHash hash) : rows_(0, KeyHash{hash}) {}

  void Add(const DropKey& key, DropVia via, RuleName rule, std::uint64_t packets, Span span);
  // Enforces the bounds. Before it there may be twice as many rows.
  void EndRound(Time now);

  // The sources whose rows stay longest; none at first.
  void set_regulars(std::set<IpAddress> regulars) { regulars_ = std::move(regulars); }

  template <typename Visitor>  // void(RecentDrop without the rule's text, RuleName)
  void ForEach(Visitor&& visit) const {
    for (const auto& [key, row] : rows_) visit(Told(key, row), key.rule);
  }
  static RecentDrop Described(const DropKey& key, DropVia via, std::uint64_t packets, Span span);

  std::size_t size() const { return rows_.size(); }
  // Packets of rows that made room.
  std::uint64_t turned_away() const { return turned_away_; }

  // For RuleNames: marks the names in use; drops forgotten ones.
  void Mark(RuleNames::Names& in_use) const;
  void Forget(const RuleNames::Names& names);

 private:
  struct Key {
    DropEnds ends;
    std::uint8_t protocol = 0;
    std::optional<std::uint8_t> icmp_type;
    HookSet hooks = HookSet();
    DropVia via = DropVia::kEbpf;
    std::uint32_t interface = 0;
    RuleName rule = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    KeyedHash hash;
    std::size_t operator()(const Key& key) const;
  };
  struct Row {
    std::uint64_t packets = 0;
    Span span{};
  };
  using Rows = std::unordered_map<Key, Row, KeyHash>;

  static RecentDrop Told(const Key& key, const Row& row);
  static Key KeyOf(const DropKey& key, DropVia via, RuleName rule);
  void AddRow(const Key& key, const Row& row);
  void MakeRoom();

  Rows rows_;
  std::set<IpAddress> regulars_;
  Time next_expiry_{};
  std::uint64_t turned_away_ = 0;
};

}  // namespace conntally
