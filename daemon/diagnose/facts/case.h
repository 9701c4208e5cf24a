// All that the checks of one diagnosis look at, and how they say what they find. Plain values that outlive the checks;
// one thread.
//
// A check is a pure function of a Case into a Report. Certainty is of two parts: is it there, and does it explain what
// was asked? What holds beyond doubt and explains it is over 0.9; what was so once, or of another source, is near 0.5;
// what is untidy and explains nothing stays under kHygieneMax, and so comes after every cause.
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
inline constexpr double kUnreadMax = 0.6;  // of what leans on rules that could not be read

struct Case {
  const Question& question;
  const HostFacts& host;
  const Config& config;
  const FirewallReading& rules;                  // as of the end of the observation
  const Census& census;                          // empty when the connections could not be listed
  const std::optional<WatchedPackets>& watched;  // absent: not asked for, or not allowed
  const std::optional<RunningDaemon>& daemon;    // absent: none answers, or it watches another namespace
  RuleOutcome outcome = {};                      // where the rules send the asked traffic
  std::optional<NatFigures> nat = {};            // absent: what is translated could not be read

  // The counter's value after the observation, and how much of it was added during it. 0 when it could not be read.
  std::uint64_t Total(TableCounter counter) const;
  std::uint64_t Growth(TableCounter counter) const;
  std::uint64_t Total(const std::string& network_counter) const;
  std::uint64_t Growth(const std::string& network_counter) const;
  double ObservedSeconds() const;
  // For a finding that leans on what rules do to the asked traffic: where they are not all known, it says so first, and
  // is less certain.
  void HoldAgainstRules(Finding& finding) const;

  // All that was asked about, and seen on the wire, was answered, and the answers got there.
  bool IsSeenToWork() const;
  // Nobody was seen to try, and the table holds connections of what was asked about that were answered within a minute.
  bool WorkedLately() const;

  std::optional<std::int64_t> Sysctl(const std::string& path) const { return NumberOf(host.sysctls, path); }
  // What was asked is not about this source: another one was named.
  bool IsOfAnother(const IpAddress& source) const { return question.source && *question.source != source; }
};

// "1,234,567"
std::string Grouped(std::uint64_t number);
// "42 %"
std::string Percent(double share);
// "3 s", "12 min", "5 h", "4 d"
std::string Lasting(double seconds);

// A rule in a table of its own, which holds for what is for this host and for what it forwards; away again with one
// command.
Fix AddGuardRule(const std::string& rule, const std::string& risk);

// Whether the setting of this path is one value for all namespaces.
bool IsOfAllNamespaces(const std::string& path);
// sysctl -w of a path as in Sysctls, with what takes it back and what keeps it.
Fix SetSysctl(const Case& facts, const std::string& path, const std::string& value, const std::string& risk);

}  // namespace conntally::diagnose
