// Counters that go on where the kernel's begin anew. A rule is known by what it says: backend, family, table, chain,
// text, and which of those that say the same it is. A reload that keeps a rule's text keeps its counter, whatever
// becomes of its handle; a kernel counter that fell was reset by somebody, and what it shows has been counted since.
//
// Where the kernel tells what became of rules between two readings (RuleChanges), nothing is lost with a reload: the
// last value of a rule that was deleted is taken in, and so is what those counted that came and went. A rule that was
// made meanwhile goes on from what it began with. That is zero, or what a restore wrote, which was counted before; but
// the packets of the commit's own milliseconds are new, and there is no telling which it is. They are few beside what
// the rules before counted since the last reading: up to an eighth of that is taken as new.
//
// Pure: of snapshots and the time. Threads: one owner; the figures it hands out are immutable.
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
      counter;  // counted since the rule was first seen, and what it showed then; nullopt: it has none
  std::uint64_t first_handle = 0;  // which the rule had when it was first seen: part of its series' name
  std::uint32_t occurrence = 0;    // from 0, among rules that say the same
  std::uint64_t series = 0;        // a number of its own for as long as it is remembered
  bool exported = false;           // within series_max
};

struct BackendFigures {
  BackendReading snapshot;        // the last that succeeded, with the last's success and failure
  std::vector<RuleTotal> totals;  // by rule
  std::vector<std::optional<RuleCounter>> policy_totals;  // by chain
  std::uint64_t changes = 0;                              // of the ruleset since the first snapshot
};

struct RuleFigures {
  std::map<RuleBackend, BackendFigures> backends;
  std::shared_ptr<const std::vector<AddressSet>> ipsets;  // null unless some rule uses one
  std::uint64_t series_turned_away = 0;  // rules that lost their series to series_max, or never had one; ever growing
};

// A rule's text as a label: cut at 200 bytes, valid UTF-8.
std::string RuleLabel(const std::string& text);

class RuleCounters {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::hours kForgetAfter{24};
  static constexpr std::size_t kRememberedMax = 16'384;  // rules that are gone: some 400 bytes each

  explicit RuleCounters(std::uint32_t series_max) : series_max_(series_max) {}
  void set_series_max(std::uint32_t series_max) { series_max_ = series_max; }

  // Takes in what was read of some backends.
  void Update(FirewallReading snapshot, Time now);

  // What is read from now on counts other packets than what was read before: another network namespace's.
  void BeginAnew();
  // It counts the same packets, read by another reader, or after a reading that was not taken in whole.
  void ReadAnew();

  std::shared_ptr<const RuleFigures> figures() const { return figures_; }

 private:
  struct Entry {
    RuleCounter total;
    RuleCounter last;                   // as the kernel showed it
    std::uint64_t packets_of_gone = 0;  // since the last reading, of rules that are no more
    std::uint64_t series = 0;
    bool counted = false;
    bool present = false;
    std::uint64_t handle = 0;
    std::uint64_t first_handle = 0;
    std::uint32_t occurrence = 0;
    Time last_seen;
  };
  using Group = std::vector<std::unique_ptr<Entry>>;  // of rules that say the same
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
  std::uint64_t series_ = 0;  // the last number given
  std::uint64_t cut_ = 0;
  std::uint64_t turned_away_ = 0;
};

}  // namespace conntally
