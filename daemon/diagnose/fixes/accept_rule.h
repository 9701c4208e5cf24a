// The conditions for a new rule that accepts one packet ahead of the rule that stops it, and accepts nothing that the
// stopping rule would not stop; and their text for nft and iptables. Returns an error with the reason if a part is
// unknown or cannot be expressed: then no command is printed. Pure.
#pragma once

#include <string>
#include <vector>

#include "collectors/rules/rule.h"
#include "collectors/rules/walk/match/condition_match.h"
#include "collectors/rules/walk/match/packet.h"
#include "collectors/system/result.h"

namespace conntally::diagnose {

// How packets reach a chain: from one hook only, or by jumps, so that packets of other hooks may reach it too.
enum class AskedBy : std::uint8_t { kItsHook, kSeveral };

// All that is known of the packet: its source above all, its protocol and port, its destination (unless it is for this
// host and only this hook reaches the chain), its link; and the conditions of the rule that stops it (nullptr: a policy
// stops it). `hook` is that of the base chain.
//
// These imply every condition of the stopping rule, so the new rule accepts only packets that it would have stopped.
Result<std::vector<RuleCondition>> AcceptOfPacket(const std::string& hook, const Rule* stops, const Packet& packet,
                                                  const ConditionMatcher& matcher,
                                                  AskedBy asked_by = AskedBy::kItsHook);

// Packets of accepted connections (ESTABLISHED, RELATED), as far as the rule stops them. They need no source: conntrack
// gives a packet this state only if it belongs to a connection that some rule accepted. No new connection passes,
// except one that a helper expects, and helpers are assigned on purpose.
Result<std::vector<RuleCondition>> AcceptOfAnswers(const std::string& hook, const Rule* stops, const Packet& packet,
                                                   const ConditionMatcher& matcher);

// What is known of the packet's source, destination, protocol and port, and the link by which it leaves.
std::vector<RuleCondition> OfLeaving(const Packet& packet, const std::string& out);

// The conditions in each tool's syntax, without chain and verdict. `family` is that of the packets.
Result<std::string> IptablesText(const std::vector<RuleCondition>& conditions, Family family);
Result<std::string> AttributeText(const std::vector<RuleCondition>& conditions, Family family);

}  // namespace conntally::diagnose
