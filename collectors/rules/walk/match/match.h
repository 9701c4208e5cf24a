// Whether a packet satisfies a condition: yes, no, or unknown with the reason. Pure; any thread.
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

// Why it is unknown, ordered from evidence against a match to evidence for one.
enum class Why : std::uint8_t {
  kHeldNeither,  // the set contained it neither before nor after, but may have in between
  // The condition is not understood.
  kSetUnread,
  kSetNotWhole,
  kSetChanged,
  kSetKeyUndecoded,
  kMapKeyUndecoded,
  kElementMayBeGone,
  kUndecoded,
  // The condition is understood, but the packet's field is unknown.
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
  kHeldBoth,  // the set contained it before and after, but maybe not in between
};
constexpr bool IsUnderstood(Why why) { return why >= Why::kSource; }

struct Answer {
  Match match = Match::kYes;
  Why why = Why::kHeldNeither;           // with kMaybe
  const RuleCondition* about = nullptr;  // with the kinds of set: the condition

  Answer() = default;
  Answer(Match known) : match(known) {}                          // NOLINT: yes and no are complete answers
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

// Why a rule's answer is unknown, as text. `not_understood` is the rule's.
std::string WordsOf(const Answer& answer, const std::string& not_understood);

}  // namespace conntally
