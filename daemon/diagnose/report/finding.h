// The report of `conntally diagnose`: findings with their evidence, what was checked, and what could not be checked.
// Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/rules/walk/packet_walk.h"
#include "collectors/rules/walk/rule_edit.h"
#include "daemon/diagnose/report/finding_id.h"

namespace conntally::diagnose {

// Where to run a fix's commands: in the examined network namespace, or on the host around it.
enum class RunOn : std::uint8_t { kNamespace, kHost };

// One remedy. Its commands are for a person to run: conntally never runs them.
struct Fix {
  std::string command;
  std::string risk;     // what it may cost
  std::string undo;     // the command that reverts it, or a comment that says how
  std::string persist;  // what makes it survive a boot; empty: it does by itself
  RunOn run_on = RunOn::kNamespace;
  std::vector<RuleEdit> edits = {};  // the command's changes to the rules, if known: the fix is tried with them

  // Runs `more` after it.
  void Append(const Fix& more);
};

// A packet that matches the question, or was seen.
struct AskedPacket {
  Packet packet;
  bool leaves = false;   // this host sends it
  bool bridged = false;  // it passes from one port of a bridge to another
};
// What a finding's fixes must let through.
struct Cure {
  AskedPacket packet;
  Limits limits = Limits::kWithin;
};

// What the finding rests on: the present state, or only counters and logs of the past.
enum class When : std::uint8_t { kNow, kPast };

struct Finding {
  FindingId id = FindingId::kNothingFound;
  double certainty = 0;               // 0 .. 1: that the fault is present and explains the symptom
  std::string title;                  // one line
  std::vector<std::string> evidence;  // figures and rules as read
  std::string cause;                  // why that leads to the symptom
  std::string decide = {};            // what only a person can decide, if no command is offered
  std::vector<Fix> fix = {};          // the mildest first; each can be run as it stands
  When when = When::kNow;
  // The subject (a rule, a policy's chain, a source), so that other checks can see that it was reported.
  std::optional<RuleRef> rule = {};
  std::optional<ChainRef> policy = {};
  std::optional<IpAddress> source = {};
  bool stops_meanwhile = false;  // something was seen to be stopped: maybe later packets of accepted connections
  bool tells_what_was_watched = false;
  std::vector<Cure> cures = {};  // empty: the question was not about a packet
};

enum class Weight : std::uint8_t {
  kDetail,
  kEssential
};  // if an essential check is missing, the report cannot say that nothing is wrong

struct Unchecked {
  std::string what;
  std::string why;  // and how to enable the check
  Weight weight = Weight::kDetail;
};

struct Report {
  bool Has(FindingId id) const;  // whether the report has such a finding already

  std::vector<Finding> findings;  // in any order while being filled; the likeliest first when printed
  std::vector<std::string> checked;
  std::vector<Unchecked> not_checked;
};

}  // namespace conntally::diagnose
