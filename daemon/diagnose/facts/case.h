// The facts that the checks of one diagnosis read, and helpers for their findings. Plain values that outlive the
// checks; one thread.
//
// A check is a pure function of a Case into a Report. Certainty has two parts: is the fault present, and does it
// explain the question? A fault that is certainly present and explains it is over 0.9; a past one, or one of another
// source, is near 0.5; an untidy setting that explains nothing stays under kHygieneMax, and so comes after every cause.
#pragma once

#include <optional>
#include <string>

#include "collectors/host/packets/packet_watch.h"
#include "collectors/nat/nat_figures.h"
#include "collectors/rules/firewall_reading.h"
#include "config/config.h"
#include "daemon/command_line/grammar/question.h"
#include "daemon/diagnose/facts/census.h"
#include "daemon/diagnose/facts/host_facts.h"
#include "daemon/diagnose/facts/rule_outcome.h"
#include "daemon/diagnose/facts/running_daemon.h"
#include "daemon/diagnose/report/finding.h"

namespace conntally::diagnose {

inline constexpr double kHygieneMax = 0.2;
inline constexpr double kUnreadMax = 0.6;  // of findings that depend on rules that could not be read

struct Case {
  const Question& question;
  const HostFacts& host;
  const Config& config;
  const FirewallReading& rules;                  // at the end of the observation
  const Census& census;                          // empty if the connections could not be listed
  const std::optional<WatchedPackets>& watched;  // absent: not requested, or not permitted
  const std::optional<RunningDaemon>& daemon;    // absent: none answers, or it watches another namespace
  RuleOutcome outcome = {};                      // what the rules do with the traffic in question
  std::optional<NatFigures> nat = {};            // absent: translations could not be read

  // The counter's value after the observation, and its rise during it. 0 if it could not be read.
  std::uint64_t Total(TableCounter counter) const;
  std::uint64_t Growth(TableCounter counter) const;
  std::uint64_t Total(const std::string& network_counter) const;
  std::uint64_t Growth(const std::string& network_counter) const;
  double ObservedSeconds() const;
  // For a finding that depends on what rules do with the traffic in question: if not all rules are known, the finding
  // says so first, and is less certain.
  void HoldAgainstRules(Finding& finding) const;

  // All traffic in question that was seen on the wire was answered, and the answers arrived.
  bool IsSeenToWork() const;
  // No attempt was seen, and the table holds connections of the traffic in question that were answered within a minute.
  bool WorkedLately() const;

  std::optional<std::int64_t> Sysctl(const std::string& path) const { return NumberOf(host.sysctls, path); }
  // The question names another source.
  bool IsOfAnother(const IpAddress& source) const { return question.source && *question.source != source; }
};

// "1,234,567"
std::string Grouped(std::uint64_t number);
// "42 %"
std::string Percent(double share);
// "3 s", "12 min", "5 h", "4 d"
std::string Lasting(double seconds);

// A name of nftables for a table of its own, from `name`: no table of the reading has it.
std::string GuardTable(const FirewallReading& rules, std::string name);
// A rule in its own table, for traffic to this host and for forwarded traffic; one command removes it. Two fixes of one
// report need two names.
Fix AddGuardRule(const Case& facts, const std::string& name, const std::string& rule, const std::string& risk);

// Whether the setting at this path is shared by all network namespaces.
bool IsOfAllNamespaces(const std::string& path);
// sysctl -w for a path as in Sysctls, with the commands that undo it and make it last.
Fix SetSysctl(const Case& facts, const std::string& path, const std::string& value, const std::string& risk);

}  // namespace conntally::diagnose
