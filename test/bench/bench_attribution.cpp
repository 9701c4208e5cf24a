// What it costs to say which of 10,000 rules dropped a source, in CPU microseconds a source: plain rules, and sets.
// Pure; no privileges.
//
//   build/release/test/bench/bench_attribution [rules]
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "daemon/drops/drop_attribution.h"

namespace {

using namespace conntally;

double CpuMicroseconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

IpAddress Address(std::uint32_t number) {
  return *IpAddress::Parse("10." + std::to_string(number >> 16 & 0xff) + "." + std::to_string(number >> 8 & 0xff) +
                           "." + std::to_string(number & 0xff));
}

// Each rule drops one source, and every tenth those of a set as well.
FirewallReading Reading(std::uint32_t rules, std::uint64_t counted) {
  static std::shared_ptr<Ruleset> ruleset;
  static std::shared_ptr<std::vector<AddressSet>> sets;
  if (!ruleset) {
    ruleset = std::make_shared<Ruleset>();
    sets = std::make_shared<std::vector<AddressSet>>();
    AddressSet set;
    set.family = RuleFamily::kInet;
    set.table = "t";
    set.name = "listed";
    for (std::uint32_t i = 0; i < 1000; ++i) set.elements.push_back({{Address(i << 3), Address(i << 3)}, {}, false});
    sets->push_back(set);
    RuleChain chain;
    chain.family = RuleFamily::kInet;
    chain.table = "t";
    chain.name = "input";
    chain.hook = "input";
    chain.type = "filter";
    chain.base = true;
    chain.rule_count = rules;
    ruleset->chains.push_back(chain);
    for (std::uint32_t i = 0; i < rules; ++i) {
      Rule rule;
      rule.family = RuleFamily::kInet;
      rule.table = "t";
      rule.chain = "input";
      rule.text = "rule " + std::to_string(i);
      rule.verdict = Verdict::kDrop;
      rule.has_counter = rule.fully_understood = true;
      RuleCondition source;
      if (i % 10 == 9) {
        source.set = "listed";
        RuleCondition port;
        port.kind = RuleCondition::Kind::kDestinationPort;
        port.numbers = {{i, i}};
        rule.conditions.push_back(port);
      } else {
        source.addresses = {{Address(i), Address(i)}};
      }
      rule.conditions.push_back(source);
      ruleset->rules.push_back(std::move(rule));
    }
  }
  FirewallReading reading;
  BackendReading& backend = reading.backends[RuleBackend::kNftables];
  backend.present = backend.success = true;
  backend.ruleset = ruleset;
  backend.sets = sets;
  backend.counters.assign(rules, RuleCounter{counted, counted});
  backend.policies.resize(1);
  return reading;
}

}  // namespace

int main(int argc, char** argv) {
  const auto rules = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 10'000);
  const FirewallReading before = Reading(rules, 1), after = Reading(rules, 100);
  constexpr std::uint32_t kSources = 200;
  std::vector<double> taken;
  std::size_t named = 0;
  for (int round = 0; round < 15; ++round) {
    const double start = CpuMicroseconds();
    DropAttributor attributor(before, after);
    for (std::uint32_t i = 0; i < kSources; ++i) {
      DropKey key;
      key.source = Address(i * (rules / kSources));
      key.protocol = 6;
      key.destination_port = static_cast<std::uint16_t>(i);
      key.hooks = HookSet(HookSet::kInput);
      key.in_interface = 2;
      named += attributor.Of(key, {"eth0", ""}, 1).rule.has_value() ? 1U : 0U;
    }
    taken.push_back((CpuMicroseconds() - start) / kSources);
  }
  std::sort(taken.begin(), taken.end());
  std::printf("attribution among %u rules: %.1f us a source (least %.1f), %zu named\n", rules, taken[taken.size() / 2],
              taken.front(), named);
}
