// What can be said of whether a packet satisfies something: yes, no, or not known, and then why. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "collectors/rules/rule_condition.h"

namespace conntally {

enum class Match : std::uint8_t { kNo, kMaybe, kYes };  // in this order: the weakest of several counts

constexpr Match Known(bool holds) { return holds ? Match::kYes : Match::kNo; }
constexpr Match Both(Match a, Match b) { return std::min(a, b); }
constexpr Match Either(Match a, Match b) { return std::max(a, b); }
constexpr Match Not(Match match) { return match == Match::kMaybe ? match : Known(match == Match::kNo); }

// Why it is not known: from what speaks against a match to what speaks for one.
enum class Why : std::uint8_t {
  kHeldNeither,  // the set held it neither before nor after, and may have in between
  // What the rule asks is not understood.
  kSetUnread,
  kSetNotWhole,
  kSetChanged,
  kSetKeyUndecoded,
  kMapKeyUndecoded,
  kElementMayBeGone,
  kUndecoded,
  // What it asks is understood, and the packet does not tell.
  kSource,
  kDestination,
  kProtocol,
  kSourcePort,
  kDestinationPort,
  kWayIn,
  kWayOut,
  kState,
  kStatus,
  kIcmpType,
  kIcmpCode,
  kTcpFlags,
  kMark,
  kAddressType,
  kPacketType,
  kReversePath,
  kLimit,
  kHeldBoth,  // the set held it before and after, and may not have in between
};
constexpr bool IsUnderstood(Why why) { return why >= Why::kSource; }

struct Answer {
  Match match = Match::kYes;
  Why why = Why::kHeldNeither;           // with kMaybe
  const RuleCondition* about = nullptr;  // with the kinds of set: the condition

  Answer() = default;
  Answer(Match known) : match(known) {}                          // NOLINT: yes and no are answers as they stand
  Answer(Why unknown, const RuleCondition* condition = nullptr)  // NOLINT
      : match(Match::kMaybe), why(unknown), about(condition) {}
};

inline Answer Both(const Answer& a, const Answer& b) {
  return std::pair(b.match, b.why) < std::pair(a.match, a.why) ? b : a;
}
inline Answer Either(const Answer& a, const Answer& b) {
  return std::pair(a.match, a.why) < std::pair(b.match, b.why) ? b : a;
}
inline Answer Not(Answer answer) {
  if (answer.match != Match::kMaybe) return Not(answer.match);
  if (answer.why == Why::kHeldNeither) {
    answer.why = Why::kHeldBoth;
  } else if (answer.why == Why::kHeldBoth) {
    answer.why = Why::kHeldNeither;
  }
  return answer;
}

// Why a rule's answer is not known, for people. `not_understood`: the rule's.
std::string WordsOf(const Answer& answer, const std::string& not_understood);

}  // namespace conntally
