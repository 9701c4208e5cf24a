#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "daemon/diagnose/table/table_findings.h"

namespace conntally::diagnose {
namespace {

constexpr double kEntryBytes = 320;  // struct nf_conn with its extensions, as the slab rounds it
constexpr std::chrono::minutes kBoot{10};
constexpr std::chrono::minutes kRecently{10};
constexpr double kPredictedSecondsLeast = 2;  // observation needed before a slope means anything
constexpr const char* kNoPerSourceLimit =
    "some guides name net.netfilter.nf_conntrack_max_per_ip: mainline Linux has no such setting; per source, use "
    "connlimit or nft's ct count";

struct Pressure {
  std::uint64_t entries = 0;
  std::uint64_t limit = 0;
  double usage = 0;
  std::uint64_t dropped = 0;         // packets, for lack of room, since the namespace began
  std::uint64_t evicted = 0;         // connections, to make room
  std::uint64_t dropped_growth = 0;  // both, during the observation
  bool full_now = false;
  bool high_now = false;  // past the warning
  std::optional<double> seconds_until_full;
};

// Clashes count as drops too, but are not for lack of room (nf_conntrack_core.c, nf_ct_resolve_clash).
std::uint64_t WithoutClashes(std::uint64_t drops, std::uint64_t insert_failed, std::uint64_t chain_too_long) {
  const std::uint64_t clashes = insert_failed > chain_too_long ? insert_failed - chain_too_long : 0;
  return drops > clashes ? drops - clashes : 0;
}

std::optional<double> PredictFull(const Case& facts, std::uint64_t entries, std::uint64_t limit) {
  if (facts.daemon && facts.daemon->seconds_until_full) return facts.daemon->seconds_until_full;
  const double seconds = facts.ObservedSeconds();
  if (seconds < kPredictedSecondsLeast || !facts.host.first.table || facts.host.first.table->entries >= entries)
    return std::nullopt;
  const auto grown = static_cast<double>(entries - facts.host.first.table->entries);
  // A few more connections are not a trend.
  if (grown < std::max(20.0, static_cast<double>(limit) / 1000)) return std::nullopt;
  return static_cast<double>(limit - entries) / (grown / seconds);
}

std::optional<Pressure> Measure(const Case& facts) {
  const auto& table = facts.host.last.table ? facts.host.last.table : facts.host.first.table;
  if (!table || table->limit.value_or(0) == 0) return std::nullopt;
  Pressure pressure;
  pressure.entries = table->entries;
  pressure.limit = *table->limit;
  pressure.usage = static_cast<double>(pressure.entries) / static_cast<double>(pressure.limit);
  pressure.dropped = WithoutClashes(facts.Total(TableCounter::kDrop), facts.Total(TableCounter::kInsertFailed),
                                    facts.Total(TableCounter::kChainTooLong));
  pressure.evicted = facts.Total(TableCounter::kEarlyDrop);
  pressure.dropped_growth = WithoutClashes(facts.Growth(TableCounter::kDrop), facts.Growth(TableCounter::kInsertFailed),
                                           facts.Growth(TableCounter::kChainTooLong)) +
                            facts.Growth(TableCounter::kEarlyDrop);
  const bool at_the_brim =
      pressure.entries >= pressure.limit || (pressure.usage >= 0.98 && pressure.dropped + pressure.evicted > 0);
  pressure.full_now = at_the_brim || pressure.dropped_growth > 0;
  pressure.high_now = pressure.usage >= facts.config.alerts.table_usage.warning;
  if (!pressure.full_now && pressure.entries < pressure.limit) {
    pressure.seconds_until_full = PredictFull(facts, pressure.entries, pressure.limit);
  }
  return pressure;
}

std::vector<std::string> DescribeFill(const Case& facts, const Pressure& pressure) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{} of {} entries ({})", Grouped(pressure.entries), Grouped(pressure.limit),
                              Percent(pressure.usage)));
  if (pressure.dropped + pressure.evicted > 0) {
    lines.push_back(fmt::format(
        "{} packets dropped and {} connections evicted early since this namespace began; {} of them in the last {}",
        Grouped(pressure.dropped), Grouped(pressure.evicted), Grouped(pressure.dropped_growth),
        Lasting(facts.ObservedSeconds())));
  }
  if (facts.host.kernel_log && !facts.host.kernel_log->table_full.empty()) {
    const auto& log = *facts.host.kernel_log;
    const auto seconds = std::chrono::duration<double>(log.table_full.back().since_boot).count();
    lines.push_back(fmt::format("the kernel's log says so {} times, {}the last time {} after boot: \"{}\"",
                                log.table_full_lines,
                                log.table_full_names_us ? "" : "without naming the network namespace, ",
                                Lasting(seconds), log.table_full.back().text));
  }
  if (pressure.seconds_until_full)
    lines.push_back("full in " + Lasting(*pressure.seconds_until_full) + " if it goes on growing like this");
  for (std::string& line : DescribeHolders(facts)) lines.push_back(std::move(line));
  return lines;
}

std::vector<Fix> WaysOut(const Case& facts, const Pressure& pressure) {
  std::vector<Fix> ways;
  // Look first at the source that holds most of it.
  if (!facts.census.sources.empty() && facts.census.ShareOf(1) >= 0.25) {
    const std::string source = facts.census.sources.front().source.ToString();
    const bool is_ipv6 = facts.census.sources.front().source.family == Family::kIpv6;
    Fix end;
    end.command = fmt::format("conntrack {}-D -s {}", is_ipv6 ? "-f ipv6 " : "", source);
    end.risk = "ends every tracked connection of " + source +
               "; they come back at once if it goes on, so find out why it does that";
    end.persist = "nothing: put a limit upon each source (connlimit, or nft's ct count)";
    ways.push_back(std::move(end));
  }
  if (facts.census.idle * 3 >= facts.census.connections && facts.census.idle > 0) {
    ways.push_back(SetSysctl(facts, "net/netfilter/nf_conntrack_tcp_timeout_established", "86400",
                             "connections that are silent for longer than a day lose their entry; those that are there "
                             "keep their old timeout"));
  }
  const auto wanted =
      static_cast<std::uint64_t>(std::pow(2, std::ceil(std::log2(static_cast<double>(pressure.limit) * 2))));
  const double memory = kEntryBytes * static_cast<double>(wanted) + 8 * static_cast<double>(wanted);
  Fix raise = SetSysctl(
      facts, "net/netfilter/nf_conntrack_max", std::to_string(wanted),
      fmt::format("up to {:.0f} MiB of kernel memory when it is full; and it only buys time if one source fills it",
                  memory / (1 << 20)));
  ways.push_back(std::move(raise));
  const auto buckets = facts.Sysctl("net/netfilter/nf_conntrack_buckets");
  if (buckets && *buckets > 0 && wanted / static_cast<std::uint64_t>(*buckets) >= 8) {
    ways.push_back(SetSysctl(facts, "net/netfilter/nf_conntrack_buckets", std::to_string(wanted),
                             "the table is rebuilt, which takes milliseconds"));
  }
  return ways;
}

void AddFull(const Case& facts, const Pressure& pressure, bool only_at_boot, Report& report) {
  Finding finding;
  finding.id = FindingId::kTableFull;
  finding.evidence = DescribeFill(facts, pressure);
  finding.fix = WaysOut(facts, pressure);
  finding.cause = std::string(
                      "a new connection needs an entry; without room its first packet is dropped, silently, while "
                      "connections that have one go "
                      "on: \"works sometimes\". ") +
                  kNoPerSourceLimit;
  if (pressure.full_now) {
    finding.title = "The conntrack table is full: new connections are lost";
    finding.certainty = 0.96;
  } else if (pressure.high_now) {
    finding.title =
        fmt::format("The conntrack table is {} full, and has lost new connections", Percent(pressure.usage));
    finding.certainty = 0.85;
  } else {
    finding.title = "The conntrack table was full: new connections were lost";
    finding.when = When::kPast;
    finding.certainty = only_at_boot ? 0.4 : 0.5;
    const bool has_time = facts.host.kernel_log && !facts.host.kernel_log->table_full.empty();
    if (has_time && !only_at_boot) {
      const bool recent = facts.host.uptime - facts.host.kernel_log->table_full.back().since_boot < kRecently;
      if (!recent) finding.certainty -= 0.1;
      // Today's line may be about another namespace's table, while our losses are from last week.
      if (recent && facts.host.kernel_log->table_full_names_us) finding.certainty += 0.1;
    }
  }
  report.findings.push_back(std::move(finding));
}

// Whether all losses were in the first minutes of uptime.
bool WasOnlyAtBoot(const Case& facts) {
  if (facts.host.uptime.count() > 0 && facts.host.uptime < kBoot) return true;
  if (!facts.host.kernel_log || facts.host.kernel_log->table_full.empty() || facts.host.kernel_log->lost > 0)
    return false;
  return facts.host.kernel_log->table_full.back().since_boot < kBoot;
}

void AddBootBurst(const Case& facts, const Pressure& pressure, Report& report) {
  Finding finding;
  finding.id = FindingId::kBootBurst;
  finding.title = "The table overflowed in the first minutes after boot";
  finding.certainty = 0.72;
  finding.when = When::kPast;
  finding.evidence = DescribeFill(facts, pressure);
  finding.evidence.insert(finding.evidence.begin(),
                          "up for " + Lasting(static_cast<double>(facts.host.uptime.count())));
  finding.cause =
      "after a boot every client connects anew at once, and until net.netfilter.nf_conntrack_max is set (sysctl.d does "
      "nothing for it before "
      "the module is loaded) the limit is the kernel's default";
  Fix fix;
  fix.command = "echo nf_conntrack > /etc/modules-load.d/conntrack.conf && sysctl --system";
  fix.risk = "applies every file of sysctl.d now, not only conntrack's";
  fix.undo = "rm /etc/modules-load.d/conntrack.conf";
  finding.fix.push_back(std::move(fix));
  for (Fix& way : WaysOut(facts, pressure)) finding.fix.push_back(std::move(way));
  report.findings.push_back(std::move(finding));
}

void AddNearFull(const Case& facts, const Pressure& pressure, Report& report) {
  const auto& alerts = facts.config.alerts;
  const double within = std::chrono::duration<double>(alerts.table_full_within.warning).count();
  const bool soon = pressure.seconds_until_full && *pressure.seconds_until_full <= within;
  const bool high = pressure.high_now;
  if (!soon && !high) return;
  Finding finding;
  finding.id = FindingId::kTableNearFull;
  finding.title = soon ? "The conntrack table will be full in " + Lasting(*pressure.seconds_until_full)
                       : fmt::format("The conntrack table is {} full", Percent(pressure.usage));
  finding.certainty = std::max(
      high ? 0.4 + 0.3 * std::min(1.0, (pressure.usage - alerts.table_usage.warning) / 0.25) : 0.0, soon ? 0.55 : 0.0);
  finding.evidence = DescribeFill(facts, pressure);
  finding.cause = std::string("nothing is lost yet; once the table is full, new connections are. ") + kNoPerSourceLimit;
  finding.fix = WaysOut(facts, pressure);
  report.findings.push_back(std::move(finding));
}

}  // namespace

std::vector<std::string> DescribeHolders(const Case& facts) {
  constexpr std::size_t kNamed = 5;
  const Census& census = facts.census;
  std::vector<std::string> lines;
  if (census.connections == 0) return lines;
  const auto share = [&](std::uint64_t part) {
    return Percent(static_cast<double>(part) / static_cast<double>(census.connections));
  };
  for (std::size_t i = 0; i < std::min(kNamed, census.sources.size()); ++i) {
    const SourceCensus& source = census.sources[i];
    lines.push_back(fmt::format("{} holds {} connections ({}), {} unreplied, {} of them to port {}",
                                source.source.ToString(), Grouped(source.connections), share(source.connections),
                                Grouped(source.unreplied), Grouped(source.first_port_connections), source.first_port));
  }
  std::vector<std::pair<std::uint64_t, std::string>> states;
  for (const auto& [state, count] : census.states) states.emplace_back(count, state);
  std::sort(states.rbegin(), states.rend());
  std::string mix;
  for (std::size_t i = 0; i < std::min(kNamed, states.size()); ++i) {
    mix += fmt::format("{}{} {}", i == 0 ? "by state: " : ", ", states[i].second, share(states[i].first));
  }
  lines.push_back(std::move(mix));
  const std::size_t sources = census.sources.size();
  if (census.ShareOf(1) >= 0.5) {
    lines.push_back("one source holds most of it");
  } else if (census.ShareOf(10) >= 0.8) {
    lines.push_back("a few sources hold most of it");
  } else if (sources >= 1000 && census.unreplied * 2 >= census.connections) {
    lines.push_back(
        fmt::format("{} sources with few connections each, mostly unreplied: their addresses are likely spoofed",
                    Grouped(sources)));
  } else {
    lines.push_back(fmt::format("{} sources share it: no one stands out", Grouped(sources)));
  }
  return lines;
}

void CheckTablePressure(const Case& facts, Report& report) {
  const auto pressure = Measure(facts);
  if (!pressure) return;
  report.checked.push_back(fmt::format(
      "the conntrack table: {} of {} entries, {} packets dropped and {} connections evicted because it was full",
      Grouped(pressure->entries), Grouped(pressure->limit), Grouped(pressure->dropped), Grouped(pressure->evicted)));
  const bool was_full = pressure->dropped + pressure->evicted > 0;
  if (!pressure->full_now && !was_full) return AddNearFull(facts, *pressure, report);
  const bool only_at_boot = was_full && WasOnlyAtBoot(facts);
  if (only_at_boot) AddBootBurst(facts, *pressure, report);
  AddFull(facts, *pressure, only_at_boot, report);
  // Also report that it will soon be full again.
  if (!pressure->full_now && !pressure->high_now) AddNearFull(facts, *pressure, report);
}

}  // namespace conntally::diagnose
