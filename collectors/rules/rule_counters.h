// Counters that continue where the kernel's start again. A rule is identified by backend, family, table, chain, text,
// and its number among rules with the same text. A reload that keeps a rule's text keeps its counter, whatever its new
// handle. If a kernel counter decreases, somebody has reset it, and its value was counted since.
//
// If the kernel reports what happened to rules between two readings (RuleChanges), a reload loses nothing: the final
// values of deleted rules count, and so do those of rules that came and went. A rule created meanwhile continues from
// its initial value. That is zero, or a value that a restore wrote and that was counted before, or new packets from the
// milliseconds of the commit. The latter two cannot be told apart. New packets are few compared with what the earlier
// rules counted since the last reading, so up to an eighth of that counts as new.
//
// Pure: depends only on readings and the time. Threads: one owner; the figures that it returns are immutable.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "collectors/rules/firewall_reading.h"

namespace conntally {

struct RuleTotal {
  std::optional<RuleCounter>
      counter;                     // counted since the rule was first seen, plus its value then; nullopt: it has none
  std::uint64_t first_handle = 0;  // the rule's handle when first seen: part of its series' name
  std::uint32_t occurrence = 0;    // from 0, among rules with the same text
  std::uint64_t series = 0;        // a unique number while it is remembered
  bool exported = false;           // within series_max
};

struct BackendFigures {
  BackendReading snapshot;        // the last successful one, with the last one's success and failure
  std::vector<RuleTotal> totals;  // by rule
  std::vector<std::optional<RuleCounter>> policy_totals;  // by chain
  std::uint64_t changes = 0;                              // of the ruleset since the first reading
};

struct RuleFigures {
  std::map<RuleBackend, BackendFigures> backends;
  std::shared_ptr<const std::vector<AddressSet>> ipsets;  // null unless some rule uses one
  std::uint64_t series_turned_away = 0;                   // rules without series for lack of room; never decreases
};

// A rule's text as a label: truncated to 200 bytes, valid UTF-8.
std::string RuleLabel(const std::string& text);

class RuleCounters {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::hours kForgetAfter{24};
  static constexpr std::size_t kRememberedMax = 16'384;  // deleted rules: some 400 bytes each

  explicit RuleCounters(std::uint32_t series_max) : series_max_(series_max) {}
  void set_series_max(std::uint32_t series_max) { series_max_ = series_max; }

  // Takes a reading of some backends.
  void Update(FirewallReading snapshot, Time now);

  // Call it for another network namespace: later readings count other packets than earlier ones.
  void BeginAnew();
  // Call it for the same packets, but another reader, or after an incomplete reading.
  void ReadAnew();

  std::shared_ptr<const RuleFigures> figures() const { return figures_; }

 private:
  struct Entry {
    RuleCounter total;
    RuleCounter last;                   // the kernel's last value
    std::uint64_t packets_of_gone = 0;  // since the last reading, of deleted rules
    std::uint64_t series = 0;
    bool counted = false;
    bool present = false;
    std::uint64_t handle = 0;
    std::uint64_t first_handle = 0;
    std::uint32_t occurrence = 0;
    Time last_seen;
  };
  using Group = std::vector<std::unique_ptr<Entry>>;  // of rules with the same text
  struct Policy {
    std::map<Verdict, RuleCounter> totals;
    RuleCounter last;
  };
  struct Backend {
    std::unordered_map<std::string, Group> groups;
    std::vector<Entry*> by_rule;
    std::unordered_map<std::string, Policy> policies;
    std::shared_ptr<const Ruleset> ruleset;
    std::uint64_t changes = 0;
  };

  void UpdateBackend(Backend& backend, const BackendReading& snapshot, BackendFigures& figures, Time now);
  static void TakeFinals(Backend& backend, const RuleChanges& changes);
  static void TakePassed(Backend& backend, const RuleChanges& changes);
  void Match(Backend& backend, const std::shared_ptr<const Ruleset>& ruleset, Time now);
  void Forget(Backend& backend, Time now);
  void UpdatePolicies(Backend& backend, const BackendReading& snapshot, BackendFigures& figures);
  void ChooseExported(RuleFigures& figures);

  std::uint32_t series_max_;
  std::map<RuleBackend, Backend> backends_;
  std::shared_ptr<const RuleFigures> figures_ = std::make_shared<RuleFigures>();
  std::uint64_t series_ = 0;  // the last number used
  std::uint64_t cut_ = 0;
  std::uint64_t turned_away_ = 0;
};

}  // namespace conntally
