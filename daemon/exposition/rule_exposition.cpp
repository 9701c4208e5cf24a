#include "daemon/exposition/rule_exposition.h"

#include <string>

namespace conntally {
namespace {

// The labels are those that the rule had when it was first seen: a reload gives it another handle, and no other series.
// Among rules with the same text, all but the first are distinguished by `occurrence`.
Labels LabelsOf(const Rule& rule, const RuleTotal& total) {
  return {{"backend", NameOf(rule.backend)},
          {"family", NameOf(rule.family)},
          {"table", rule.table},
          {"chain", rule.chain},
          {"rule", RuleLabel(rule.text)},
          {"handle", total.first_handle != 0 ? std::to_string(total.first_handle) : ""},
          {"verdict", NameOf(rule.verdict)},
          {"comment", RuleLabel(rule.comment)},
          {"occurrence", total.occurrence != 0 ? std::to_string(total.occurrence + 1) : ""}};
}

template <typename Visit>
void ForEachRule(const RuleFigures& figures, Visit visit) {
  for (const auto& [backend, of_backend] : figures.backends) {
    for (std::size_t i = 0; i < of_backend.totals.size(); ++i) {
      const RuleTotal& total = of_backend.totals[i];
      if (total.exported && total.counter) visit(of_backend.snapshot.ruleset->rules[i], total);
    }
  }
}

template <typename Visit>
void ForEachTable(const RuleFigures& figures, Visit visit) {
  for (const auto& [backend, of_backend] : figures.backends) {
    for (const RuleTable& table : of_backend.snapshot.ruleset->tables) {
      visit(table, Labels{{"backend", NameOf(backend)}, {"family", NameOf(table.family)}, {"table", table.name}});
    }
  }
}

}  // namespace

void AddRules(MetricFamilyList& list, const RuleFigures& figures) {
  auto packets = list.Counter("conntally_rule_packets_total", "Packets that the firewall rule matched.");
  ForEachRule(figures, [&](const Rule& rule, const RuleTotal& total) {
    packets.Add(total.counter->packets, LabelsOf(rule, total));
  });
  auto bytes = list.Counter("conntally_rule_bytes_total", "Bytes of the packets that the firewall rule matched.");
  ForEachRule(figures, [&](const Rule& rule, const RuleTotal& total) {
    bytes.Add(total.counter->bytes, LabelsOf(rule, total));
  });

  auto policies = list.Counter("conntally_chain_policy_packets_total",
                               "Packets that went to the chain's policy, for chains that count them.");
  for (const auto& [backend, of_backend] : figures.backends) {
    for (std::size_t i = 0; i < of_backend.policy_totals.size(); ++i) {
      if (!of_backend.policy_totals[i]) continue;
      const RuleChain& chain = of_backend.snapshot.ruleset->chains[i];
      policies.Add(of_backend.policy_totals[i]->packets, {{"backend", NameOf(backend)},
                                                          {"family", NameOf(chain.family)},
                                                          {"table", chain.table},
                                                          {"chain", chain.name},
                                                          {"policy", NameOf(chain.policy)}});
    }
  }
  auto rules = list.Gauge("conntally_rules", "Rules in the table.");
  ForEachTable(figures, [&](const RuleTable& table, const Labels& labels) { rules.Add(table.rules, labels); });
  auto silent = list.Gauge("conntally_rules_uncounted",
                           "Rules in the table that count nothing, so that nobody can tell whether they match.");
  ForEachTable(figures,
               [&](const RuleTable& table, const Labels& labels) { silent.Add(table.rules_uncounted, labels); });
  auto changes = list.Counter("conntally_ruleset_changes_total", "Changes of the ruleset since the daemon started.");
  for (const auto& [backend, of_backend] : figures.backends) {
    if (of_backend.snapshot.present) changes.Add(of_backend.changes, {{"backend", NameOf(backend)}});
  }
}

}  // namespace conntally
