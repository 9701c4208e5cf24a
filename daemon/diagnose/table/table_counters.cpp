#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/table/table_findings.h"

namespace conntally::diagnose {
namespace {

// Whether it is enough to mean something: a few a day are normal.
bool IsMany(const Case& facts, std::uint64_t total, std::uint64_t least, double an_hour) {
  return total >= least && static_cast<double>(total) / facts.host.HoursCounted() >= an_hour;
}

std::string DescribeCounter(const Case& facts, TableCounter counter, const char* what) {
  return fmt::format("{} {} since this namespace began, {} of them in the last {}", Grouped(facts.Total(counter)), what,
                     Grouped(facts.Growth(counter)), Lasting(facts.ObservedSeconds()));
}

void CheckInsertFailed(const Case& facts, Report& report) {
  const std::uint64_t chains = facts.Total(TableCounter::kChainTooLong);
  const std::uint64_t failed = facts.Total(TableCounter::kInsertFailed);
  const std::uint64_t total = failed > chains ? failed - chains : 0;
  const bool growing = facts.Growth(TableCounter::kInsertFailed) > facts.Growth(TableCounter::kChainTooLong);
  if (!growing && !IsMany(facts, total, 10, 10)) return;
  if (report.Has(FindingId::kNatPortsExhausted)) return;  // it is the cause
  Finding finding;
  finding.id = FindingId::kInsertFailed;
  finding.title = "Connections clash when they enter the table: insert_failed";
  finding.certainty = growing ? 0.6 : 0.35;
  finding.when = growing ? When::kNow : When::kPast;
  finding.evidence.push_back(DescribeCounter(facts, TableCounter::kInsertFailed, "insertions failed"));
  finding.evidence.push_back(
      fmt::format("{} clashes were settled without loss", Grouped(facts.Total(TableCounter::kClashResolved))));
  finding.cause =
      "two packets of one new connection, or two connections that SNAT gave the same port, were under way at once, and "
      "one packet was dropped: "
      "parallel DNS queries from one socket, or many clients behind one translated address to one destination. It is "
      "not a full table";
  Fix fix;
  fix.command =
      "iptables -t nat -L POSTROUTING -n --line-numbers  # then add --random-fully to the MASQUERADE or SNAT rule";
  fix.risk = "none for connections that are there; ports are chosen at random from then on";
  fix.undo = "# the rule as it was";
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

const Rule* FindInvalidDrop(const FirewallReading& rules, std::uint64_t& counted) {
  constexpr std::uint32_t kInvalidBit = 1;
  for (const auto& [backend, read] : rules.backends) {
    if (!read.present || !read.ruleset) continue;
    for (std::size_t i = 0; i < read.ruleset->rules.size(); ++i) {
      const Rule& rule = read.ruleset->rules[i];
      if (rule.verdict != Verdict::kDrop && rule.verdict != Verdict::kReject) continue;
      const bool invalid =
          std::any_of(rule.conditions.begin(), rule.conditions.end(), [](const RuleCondition& condition) {
            return condition.kind == RuleCondition::Kind::kConntrackState && !condition.negated &&
                   std::any_of(condition.numbers.begin(), condition.numbers.end(),
                               [](const NumberRange& range) { return (range.first & kInvalidBit) != 0; });
          });
      if (!invalid) continue;
      counted = i < read.counters.size() && read.counters[i] ? read.counters[i]->packets : 0;
      return &rule;
    }
  }
  return nullptr;
}

void CheckInvalid(const Case& facts, Report& report) {
  const std::uint64_t total = facts.Total(TableCounter::kInvalid);
  const std::uint64_t growth = facts.Growth(TableCounter::kInvalid);
  if (growth < 3 && !IsMany(facts, total, 20, 15)) return;
  // If all traffic in question is answered, stray packets of others explain nothing.
  const bool asked = facts.question.source || facts.question.destination || facts.question.destination_port;
  if (asked && facts.IsSeenToWork()) return;
  std::uint64_t dropped = 0;
  const Rule* rule = FindInvalidDrop(facts.rules, dropped);
  Finding finding;
  finding.id = FindingId::kInvalidPackets;
  finding.title = "Packets arrive that belong to no connection conntrack knows";
  const double by_rule = rule == nullptr ? 0 : dropped > 0 ? 0.2 : 0.05;
  finding.certainty = (growth >= 3 ? 0.45 : 0.25) + by_rule;
  // Every host has past stray packets: they explain no present question.
  if (growth < 3 && asked) finding.certainty = kHygieneMax;
  finding.when = growth >= 3 ? When::kNow : When::kPast;
  finding.evidence.push_back(DescribeCounter(facts, TableCounter::kInvalid, "invalid packets"));
  if (rule != nullptr)
    finding.evidence.push_back(fmt::format("a rule drops them, and has dropped {}: `{}` in chain {}", Grouped(dropped),
                                           rule->text, rule->chain));
  finding.cause =
      "replies that take another way than the requests (asymmetric routing), packets out of the TCP window, wrong "
      "checksums, or connections "
      "whose entry is gone; they are not translated, and rules that drop invalid packets end them";
  Fix look;
  look.command = "sysctl -w net.netfilter.nf_conntrack_log_invalid=255";
  look.risk = "writes a line of the kernel's log for each such packet";
  look.undo = "sysctl -w net.netfilter.nf_conntrack_log_invalid=0";
  finding.fix.push_back(std::move(look));
  finding.fix.push_back(
      SetSysctl(facts, "net/netfilter/nf_conntrack_tcp_be_liberal", "1",
                "TCP packets out of the window are let through; only their resets are still told apart"));
  report.findings.push_back(std::move(finding));
}

void CheckBuckets(const Case& facts, Report& report) {
  const auto& table = facts.host.last.table ? facts.host.last.table : facts.host.first.table;
  if (!table || !table->buckets || *table->buckets == 0 || !table->limit) return;
  const double of_limit = static_cast<double>(*table->limit) / static_cast<double>(*table->buckets);
  const double now = static_cast<double>(table->entries) / static_cast<double>(*table->buckets);
  const std::uint64_t refused = facts.Total(TableCounter::kChainTooLong);
  const bool refusing = facts.Growth(TableCounter::kChainTooLong) > 0;
  // Short chains do no harm: report only if there are effects already, or chains are far too long.
  if (!refusing && refused < 10 && !(of_limit >= 16 && now >= 2) && of_limit < 32) return;
  Finding finding;
  finding.id = FindingId::kBucketsTooFew;
  finding.title = "The conntrack hash table has too few buckets for its limit";
  finding.certainty = refusing ? 0.7 : refused >= 10 ? 0.4 : now >= 2 ? 0.35 : 0.1;
  finding.when = refusing || now >= 2 ? When::kNow : When::kPast;
  finding.evidence.push_back(
      fmt::format("{} buckets for up to {} entries: chains of {:.0f} when it is full, of {:.1f} now",
                  Grouped(*table->buckets), Grouped(*table->limit), of_limit * 2, now * 2));
  if (refused > 0)
    finding.evidence.push_back(
        DescribeCounter(facts, TableCounter::kChainTooLong, "connections refused since their chain was too long"));
  finding.cause =
      "every look-up walks a chain (each entry stands in two), so that each packet costs more; far too long a chain "
      "takes no new entry";
  Fix fix = SetSysctl(facts, "net/netfilter/nf_conntrack_buckets", std::to_string(*table->limit),
                      fmt::format("{:.0f} MiB of kernel memory; the table is rebuilt, which takes milliseconds",
                                  static_cast<double>(*table->limit) * 8 / (1 << 20)));
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

}  // namespace

void CheckTableCounters(const Case& facts, Report& report) {
  if (!facts.host.first.table && !facts.host.last.table) return;
  report.checked.push_back(
      fmt::format("the table's other counters: {} insertions failed, {} invalid packets, {} chains too long",
                  Grouped(facts.Total(TableCounter::kInsertFailed)), Grouped(facts.Total(TableCounter::kInvalid)),
                  Grouped(facts.Total(TableCounter::kChainTooLong))));
  CheckInsertFailed(facts, report);
  CheckInvalid(facts, report);
  CheckBuckets(facts, report);
}

}  // namespace conntally::diagnose
