#include "daemon/alerts/alert_reader.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <set>

namespace conntally {
namespace {

using Kind = AlertKind;

constexpr double kFullUsage = 0.9;  // from there on a dropped packet is not put down to a clash

std::string Percent(double ratio) { return fmt::format("{:.1f} %", ratio * 100); }

std::string Span(double seconds) {
  if (seconds >= 5400) return fmt::format("{:.1f} h", seconds / 3600);
  if (seconds >= 120) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.0f} s", seconds);
}

// "192.0.2.7 (1200), ..." of the first few by `value`, where it is above zero.
template <typename Value>
std::string Leaders(const AlertEvidence& evidence, Value&& value) {
  std::vector<std::pair<std::int64_t, const std::string*>> ranked;
  for (const AlertEvidence::Source& source : evidence.sources) {
    if (const std::int64_t of_source = value(source); of_source > 0) ranked.emplace_back(-of_source, &source.name);
  }
  std::sort(ranked.begin(), ranked.end(), [](const auto& one, const auto& other) {
    return one.first != other.first ? one.first < other.first : *one.second < *other.second;
  });
  std::string text;
  for (std::size_t i = 0; i < ranked.size() && i < 3; ++i) {
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", *ranked[i].second, -ranked[i].first);
  }
  return text;
}

std::string MostConnections(const AlertEvidence& evidence) {
  const std::string leaders =
      Leaders(evidence, [](const AlertEvidence::Source& source) { return source.figures.connections; });
  return leaders.empty() ? "" : " Most connections: " + leaders + ".";
}

bool IsTableKind(Kind kind) {
  return kind == Kind::kConntrackTableNearlyFull || kind == Kind::kConntrackTableFillPredicted ||
         kind == Kind::kConntrackTableFull || kind == Kind::kConntrackInsertFailed ||
         kind == Kind::kSourceNearTableLimit;
}

bool IsTallyKind(Kind kind) {
  return kind == Kind::kSourceNearTableLimit || kind == Kind::kSourceNearConnectionLimit ||
         kind == Kind::kSourceConnectionChurn || kind == Kind::kSourceScanning;
}

const std::set<std::string> kDropCollectors = {"drops", "ebpf", "nflog", "kernel_log"};
const std::set<std::string> kRuleCollectors = {NameOf(RuleBackend::kNftables), NameOf(RuleBackend::kIptablesLegacy),
                                               NameOf(RuleBackend::kIp6tablesLegacy)};

std::string Failures(const AlertEvidence& evidence, const std::set<std::string>& collectors) {
  std::string text;
  for (const auto& [name, failure] : evidence.failing) {
    if (collectors.contains(name)) text += (text.empty() ? "" : "; ") + name + ": " + failure;
  }
  return text;
}

// What may be wrong with the figures of a kind.
std::string DegradedBy(Kind kind, const AlertEvidence& evidence) {
  if (kind == Kind::kConntallyDegraded) return {};
  if (kind == Kind::kSourceMatchesDropRule) return Failures(evidence, kDropCollectors);
  if (kind == Kind::kDropRuleSpike) return Failures(evidence, kRuleCollectors);
  std::string text = IsTableKind(kind) ? Failures(evidence, {"table"}) : Failures(evidence, {"conntrack"});
  if (IsTallyKind(kind) && !evidence.synced) {
    text += text.empty() ? "" : "; ";
    text += "the tallies are known to be stale";
  }
  return text;
}

}  // namespace

AlertReadings AlertReader::Read(const AlertRules& rules, const AlertEvidence& evidence) {
  AlertReadings result;
  for (std::size_t i = 0; i < kAlertKinds; ++i) {
    const auto kind = static_cast<Kind>(i);
    result.blind[i] = (IsTableKind(kind) && !evidence.table) || (IsTallyKind(kind) && !evidence.ready) ||
                      (kind == Kind::kDropRuleSpike && !evidence.rules);
    result.degraded[i] = DegradedBy(kind, evidence);
  }
  RememberSources(evidence);
  if (evidence.table) {
    ReadTable(rules, evidence, result.readings);
    ReadLosses(evidence, result.readings);
  }
  ReadSources(rules, evidence, result.readings);
  ReadDrops(rules, evidence, result.readings);
  ReadRules(rules, evidence, result.readings);
  ReadTrust(evidence, result.readings);
  return result;
}

void AlertReader::ReadTable(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  const TableStatistics& table = *evidence.table;
  const std::uint64_t limit = table.limit.value_or(0);
  if (limit == 0) return;  // unbounded, or the kernel is too old to say
  const double usage = static_cast<double>(table.entries) / static_cast<double>(limit);
  const std::vector<AlertFact> facts = {{"entries", static_cast<double>(table.entries)},
                                        {"limit", static_cast<double>(limit)},
                                        {"entries_per_second", evidence.entries_per_second}};
  const bool growing = evidence.entries_per_second > 0;
  if (!rules[Kind::kConntrackTableNearlyFull].Quiet(usage)) {
    const std::string trend = growing ? fmt::format("growing by {:.1f} a second, full in {}",
                                                    evidence.entries_per_second, Span(evidence.seconds_until_full))
                                      : "not growing";
    into.push_back({{Kind::kConntrackTableNearlyFull, {}, {}},
                    usage,
                    fmt::format("{} of {} entries ({}), {}.{}", table.entries, limit, Percent(usage), trend,
                                MostConnections(evidence)),
                    facts});
  }
  // A table that is full is not predicted to be any more, but the prediction has not ended either.
  const bool full = table.entries >= limit;
  if ((growing || full) && usage >= AlertRules::kPredictableUsage &&
      !rules[Kind::kConntrackTableFillPredicted].Quiet(evidence.seconds_until_full)) {
    into.push_back(
        {{Kind::kConntrackTableFillPredicted, {}, {}},
         evidence.seconds_until_full,
         fmt::format("{} of {} entries ({}), growing by {:.1f} a second: full in {}.{}", table.entries, limit,
                     Percent(usage), evidence.entries_per_second, Span(evidence.seconds_until_full), Drivers(evidence)),
         facts});
  }
}

// The kernel counts a clash that it could not settle as a drop as well (nf_conntrack_core.c, nf_ct_resolve_clash): that
// is no full table.
void AlertReader::ReadLosses(const AlertEvidence& evidence, Readings& into) {
  const TableStatistics& table = *evidence.table;
  drops_.Add(evidence.now, table.counter(TableCounter::kDrop));
  early_drops_.Add(evidence.now, table.counter(TableCounter::kEarlyDrop));
  insert_failed_.Add(evidence.now, table.counter(TableCounter::kInsertFailed));
  full_messages_.Add(evidence.now, evidence.table_full_messages);
  const std::uint64_t failed = insert_failed_.sum();
  const bool has_room = static_cast<double>(table.entries) < kFullUsage * static_cast<double>(table.limit.value_or(0));
  const std::uint64_t clashes = has_room ? failed : 0;
  const std::uint64_t dropped = drops_.sum() > clashes ? drops_.sum() - clashes : 0;
  const std::uint64_t lost = dropped + early_drops_.sum() + full_messages_.sum();
  if (lost > 0) {
    into.push_back({{Kind::kConntrackTableFull, {}, {}},
                    static_cast<double>(lost),
                    fmt::format("In the last {} s {} packets were dropped and {} entries evicted for want of room; the "
                                "kernel's log told of it {} times. "
                                "{} of {} entries now.{}",
                                AlertRules::kLossWindow.count(), dropped, early_drops_.sum(), full_messages_.sum(),
                                table.entries, table.limit.value_or(0), MostConnections(evidence)),
                    {{"entries", static_cast<double>(table.entries)},
                     {"limit", static_cast<double>(table.limit.value_or(0))},
                     {"drops", static_cast<double>(dropped)},
                     {"early_drops", static_cast<double>(early_drops_.sum())},
                     {"table_full_messages", static_cast<double>(full_messages_.sum())}}});
  }
  if (failed > 0) {
    into.push_back({{Kind::kConntrackInsertFailed, {}, {}},
                    static_cast<double>(failed),
                    fmt::format("{} entries could not be inserted in the last {} s, since others like them were there "
                                "already; the table has {} of {} entries.",
                                failed, AlertRules::kLossWindow.count(), table.entries, table.limit.value_or(0)),
                    {{"insert_failed", static_cast<double>(failed)}}});
  }
}

void AlertReader::ReadSources(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  const auto limit = evidence.table ? static_cast<double>(evidence.table->limit.value_or(0)) : 0;
  for (const AlertEvidence::Source& source : evidence.sources) {
    const SourceFigures& figures = source.figures;
    const auto connections = static_cast<double>(figures.connections);
    const auto unreplied = static_cast<double>(figures.unreplied);
    // Most sources are quiet: nothing is written for those.
    const auto facts = [&] {
      return std::vector<AlertFact>{{"connections", connections},
                                    {"unreplied", unreplied},
                                    {"new_rate", figures.new_rate},
                                    {"destination_ports", static_cast<double>(figures.destination_ports)}};
    };
    const auto add = [&](Kind kind, double value, const auto& describe) {
      if (!rules[kind].Quiet(value)) into.push_back({{kind, source.name, {}}, value, describe(), facts()});
    };
    if (limit > 0) {
      add(Kind::kSourceNearTableLimit, connections / limit, [&] {
        return fmt::format("{} holds {} connections: {} of the {} that the table may have.", source.name,
                           figures.connections, Percent(connections / limit), limit);
      });
    }
    add(Kind::kSourceConnectionChurn, figures.new_rate, [&] {
      return fmt::format("{} opens {:.1f} connections a second; it has {} of them, {} unreplied.", source.name,
                         figures.new_rate, figures.connections, figures.unreplied);
    });
    const bool mostly_unreplied = unreplied >= AlertRules::kMostlyUnreplied * connections;
    add(Kind::kSourceScanning,
        std::max(static_cast<double>(figures.destination_ports), mostly_unreplied ? unreplied : 0.0), [&] {
          return fmt::format(
              "{} has connections to {} distinct destination ports; {} of its {} connections are unreplied.",
              source.name, figures.destination_ports, figures.unreplied, figures.connections);
        });

    std::set<std::string> told;  // limits by their label, the most used first
    for (const SourceLimit& each : source.limits) {
      const AlertRule& rule = rules[Kind::kSourceNearConnectionLimit];
      std::string label = RuleLabel(each.rule);
      if (rule.Quiet(each.usage()) || !told.insert(label).second) continue;
      std::vector<AlertFact> limit_facts = facts();
      limit_facts.insert(limit_facts.end(), {{"limit", static_cast<double>(each.connections)},
                                             {"counted", static_cast<double>(each.counted)},
                                             {"origin", NameOf(each.origin)}});
      std::string description = fmt::format(
          "{} has {} of the {} connections ({}) that it may have by {}{}.", source.name, each.counted, each.connections,
          Percent(each.usage()), each.rule.empty() ? NameOf(each.origin) : "the rule " + label,
          each.approximate ? " (at most; what the rule counts is not fully known)" : "");
      into.push_back({{Kind::kSourceNearConnectionLimit, source.name, std::move(label)},
                      each.usage(),
                      std::move(description),
                      std::move(limit_facts)});
    }
  }
}

void AlertReader::ReadDrops(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  for (const AlertEvidence::DroppedSource& source : evidence.dropped) {
    std::map<std::string, std::uint64_t> by_rule;
    std::map<std::string, std::string> vias;
    for (const DropShare& share : source.drops.shares) {
      std::string label = RuleLabel(share.rule);
      by_rule[label] += share.packets;
      std::string& via = vias[label];
      via += (via.empty() ? "" : ", ") + std::string(NameOf(share.via));
    }
    if (source.drops.forgotten != 0) by_rule[""] -= source.drops.forgotten;
    for (const auto& [label, packets] : by_rule) {
      DropRate& followed = drop_rates_[{source.name, label}];
      followed.rate.Add(evidence.now, packets);
      followed.last_seen = evidence.now;
      const double rate = followed.rate.PerSecond(evidence.now);
      if (rules[Kind::kSourceMatchesDropRule].Quiet(rate)) continue;
      into.push_back(
          {{Kind::kSourceMatchesDropRule, source.name, label},
           rate,
           fmt::format("{:.1f} packets a second of {} are dropped or rejected by {}; {} so far.", rate, source.name,
                       label.empty() ? "a rule that is not known" : "the rule " + label, packets),
           {{"packets", static_cast<double>(packets)}, {"via", vias[label]}}});
    }
  }
  std::erase_if(drop_rates_,
                [&](const auto& entry) { return evidence.now - entry.second.last_seen > 2 * BatchedRate::kWindow; });
  if (drop_rates_.size() <= kDropRatesMax) return;
  drop_rates_forgotten_ +=
      std::erase_if(drop_rates_, [&](const auto& entry) { return entry.second.last_seen != evidence.now; });
}

void AlertReader::ReadRules(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  if (!evidence.rules) return;
  if (evidence.rules != last_rules_) spikes_.Add(*evidence.rules, evidence.now);
  last_rules_ = evidence.rules;
  for (const RuleSpikes::Spike& spike : spikes_.Spikes()) {
    if (rules[Kind::kDropRuleSpike].Quiet(spike.times)) continue;
    into.push_back(
        {{Kind::kDropRuleSpike, {}, spike.rule},
         spike.times,
         fmt::format("The rule {} matches {:.1f} packets a second, after {:.1f} before.", spike.rule, spike.rate,
                     spike.past_rate),
         {{"rate", spike.rate}, {"past_rate", spike.past_rate}, {"packets", static_cast<double>(spike.packets)}}});
  }
}

// An overrun tells of itself at once, for a minute; what mends itself is only told when it does not for a while.
void AlertReader::ReadTrust(const AlertEvidence& evidence, Readings& into) {
  std::map<std::string, std::string> wrong;
  if (!evidence.ready) {
    wrong["ready"] = "the kernel's table has not been read yet";
  } else if (!evidence.synced) {
    wrong["synced"] = "the tallies are known to be stale";
  }
  for (const auto& [name, failure] : evidence.failing) wrong[name] = "the collector " + name + " fails: " + failure;
  std::erase_if(wrong_since_, [&](const auto& entry) { return !wrong.contains(entry.first); });
  std::string reasons;
  int count = 0;
  const auto tell = [&](const std::string& reason) { reasons += (count++ == 0 ? "" : "; ") + reason; };
  for (const auto& [what, reason] : wrong) {
    const SteadyTime since = wrong_since_.try_emplace(what, evidence.now).first->second;
    if (evidence.now - since >= AlertRules::kDegradedFor) tell(reason);
  }
  events_lost_.Add(evidence.now, evidence.events_lost);
  if (const std::uint64_t lost = events_lost_.sum(); lost > 0) {
    tell(fmt::format("{} events were lost in the last {} s, since the receive buffer was full", lost,
                     AlertRules::kLossWindow.count()));
  }
  if (count > 0)
    into.push_back(
        {{Kind::kConntallyDegraded, {}, {}}, static_cast<double>(count), reasons + ".", {{"reasons", reasons}}});
}

void AlertReader::RememberSources(const AlertEvidence& evidence) {
  if (!remembered_.empty() && evidence.now - remembered_.back().when < kGrowthStep) return;
  Remembered now{evidence.now, {}};
  for (const AlertEvidence::Source& source : evidence.sources)
    now.connections.emplace(source.name, source.figures.connections);
  remembered_.push_back(std::move(now));
  while (evidence.now - remembered_.front().when > kGrowthWindow) remembered_.pop_front();
}

// A source that was not remembered then had few, or none.
std::string AlertReader::Drivers(const AlertEvidence& evidence) const {
  const Remembered& before = remembered_.front();
  const std::string drivers = Leaders(evidence, [&](const AlertEvidence::Source& source) {
    const auto then = before.connections.find(source.name);
    return source.figures.connections - (then == before.connections.end() ? 0 : then->second);
  });
  if (drivers.empty()) return MostConnections(evidence);
  return fmt::format(" Growth in the last {:.0f} s by: {}.",
                     std::chrono::duration<double>(evidence.now - before.when).count(), drivers);
}

}  // namespace conntally
