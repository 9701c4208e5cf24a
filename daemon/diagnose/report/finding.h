// What `conntally diagnose` says: findings with their evidence, what was looked at, and what could not be. Plain
// values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/rules/walk/packet_walk.h"
#include "collectors/rules/walk/rule_edit.h"
#include "daemon/diagnose/report/finding_id.h"

namespace conntally::diagnose {

// Where a fix's commands belong: in the network namespace that was looked at, or on the host around it.
enum class RunOn : std::uint8_t { kNamespace, kHost };

// One way out. The commands are for a person to run: conntally never runs them.
struct Fix {
  std::string command;
  std::string risk;     // what it may cost
  std::string undo;     // the command that takes it back, or what to do as a comment
  std::string persist;  // what keeps it over a boot; empty: it persists by itself
  RunOn run_on = RunOn::kNamespace;
  std::vector<RuleEdit> edits = {};  // what the command makes of the rules, where that is known: it is tried with them
};

// A packet that is asked about, or was seen.
struct AskedPacket {
  Packet packet;
  bool leaves = false;   // this host sends it
  bool bridged = false;  // it passes from one port of a bridge to another
};
// What a finding's fixes are to let through.
struct Cure {
  AskedPacket packet;
  Limits limits = Limits::kWithin;
};

// What the finding leans on: what is so while it is looked, or only what counters and logs keep of earlier.
enum class When : std::uint8_t { kNow, kPast };

struct Finding {
  FindingId id = FindingId::kNothingFound;
  double certainty = 0;               // 0 .. 1: that this is there, and explains the symptom that was asked about
  std::string title;                  // one line
  std::vector<std::string> evidence;  // figures and rules, as they were read
  std::string cause;                  // why that leads to the symptom
  std::string decide = {};            // what only a person can decide, where no command is offered for it
  std::vector<Fix> fix = {};          // the mildest first; each can be run as it stands
  When when = When::kNow;
  // What it is about, for checks that look whether it was told: a rule, a policy's chain, a source.
  std::optional<RuleRef> rule = {};
  std::optional<ChainRef> policy = {};
  std::optional<IpAddress> source = {};
  bool stops_meanwhile = false;  // something was seen to be stopped: perhaps later packets of what was accepted
  bool tells_what_was_watched = false;
  std::vector<Cure> cures = {};  // empty: nobody asked about a packet
};

enum class Weight : std::uint8_t {
  kDetail,
  kEssential
};  // without what is essential, that nothing is wrong cannot be said

struct Unchecked {
  std::string what;
  std::string why;  // and what to do to have it checked
  Weight weight = Weight::kDetail;
};

struct Report {
  bool Has(FindingId id) const;  // whether such a finding is there already

  std::vector<Finding> findings;  // in any order while it is filled; the likeliest first when it is told
  std::vector<std::string> checked;
  std::vector<Unchecked> not_checked;
};

}  // namespace conntally::diagnose
