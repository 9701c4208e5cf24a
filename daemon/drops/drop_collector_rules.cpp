// The part of DropCollector that uses the rules: which rule dropped the counted packets, and the counts of sets.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "daemon/drops/drop_attribution.h"
#include "daemon/drops/drop_ways.h"
#include "daemon/drops/log_prefixes.h"
#include "daemon/drops/rule_readings.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

constexpr auto kReadingsSpan = 1s;

// Rules examined per reading of their counters: takes a fraction of a second.
constexpr std::uint64_t kRuleLooksMax = 4'000'000;

}  // namespace

// Once for each reading of the rules' counters.
void DropCollector::FollowRules(Ways& ways) {
  if (options_.rules == nullptr || !ways.inside) return;
  options_.rules->WantSetCounters(!ways.ebpf);
  auto figures = options_.rules->figures();
  if (!figures || (!ways.readings.empty() && figures == ways.readings.back().figures)) return;
  const Clock::time_point now = Clock::now();
  ways.readings.push_back({std::move(figures), now});
  while (ways.readings.size() > 3 && now - ways.readings[1].taken > kReadingsSpan)
    ways.readings.erase(ways.readings.begin());
  const RuleFigures& last = *ways.readings.back().figures;
  ways.let_through = PrefixesLetThrough(SnapshotOf(last));
  if (ways.ebpf) return AttributeToRules(ways);
  if (!ways.sets.HasNews(last)) return;
  auto drops = ways.sets.Take(last);
  if (ways.sets.any() || !drops.empty()) tally_.AddSetCounted(std::move(drops), Clock::now());
}

void DropCollector::AttributeToRules(Ways& ways) {
  ReadingsAttributor attributor(*ways.readings.front().figures, *ways.readings.back().figures);
  tally_.set_attributes(HasDropRules(attributor.last()));
  if (ways.readings.size() < 2) return;
  const std::uint64_t rules = attributor.rules();
  std::uint64_t looks = 0;
  std::map<std::string, std::uint64_t> claimed;  // packets, by rule
  tally_.Attribute(
      [&](const DropKey& key, std::uint64_t packets) -> std::optional<DropTally::NamedRule> {
        if ((looks += rules) > kRuleLooksMax) {
          ways.not_looked_up += packets;
          return std::string();
        }
        const std::string in = interfaces_.Look(key.in_interface);
        const std::string out = interfaces_.Look(key.out_interface);
        DropAttribution found = attributor.Of(key, {in, out}, packets);
        if (!found.rule) return found.may_follow ? std::nullopt : std::optional<DropTally::NamedRule>(std::string());
        // All keys together at most the rise of its counter.
        std::uint64_t& of_rule = claimed[*found.rule];
        if (of_rule != 0 && !attributor.Of(key, {in, out}, packets + of_rule).rule) return std::nullopt;
        of_rule += packets;
        return DropTally::NamedRule(RuleLabel(*found.rule), found.hook);
      },
      Clock::now());
}

}  // namespace conntally
