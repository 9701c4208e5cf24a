// What a rule has to ask so that it lets one packet past the rule that stops it, and nothing else that this one does
// not stop; and how nft and iptables write that. Refuses, and says why, where a part is not known or has no words: then
// no command is printed. Pure.
#pragma once

#include <string>
#include <vector>

#include "collectors/rules/rule.h"
#include "collectors/rules/walk/match/condition_match.h"
#include "collectors/rules/walk/match/packet.h"
#include "collectors/system/result.h"

namespace conntally::diagnose {

// Who asks a chain: what one hook hands over, or, where jumps lead to it, perhaps others' packets as well.
enum class AskedBy : std::uint8_t { kItsHook, kSeveral };

// All that is known of the packet: its source first of all, its protocol and port, where it goes (but not of what comes
// to this host, where only that is asked), the link by which it comes; and whatever the rule that stops it asks
// (nullptr: a policy does). `hook` is that of the base chain.
//
// Each condition of the rule is implied by one of these, so that what the new rule accepts before it, it would have
// stopped.
Result<std::vector<RuleCondition>> AcceptOfPacket(const std::string& hook, const Rule* stops, const Packet& packet,
                                                  const ConditionMatcher& matcher,
                                                  AskedBy asked_by = AskedBy::kItsHook);

// Packets of connections that were let in once (ESTABLISHED, RELATED), as far as the rule stops them. It names no
// source, and need not: the state is conntrack's own, which a stranger's packet has only if it answers a connection
// that some rule accepted before. Nothing that is new passes, but for what such a connection announces by a helper,
// which was assigned to it on purpose.
Result<std::vector<RuleCondition>> AcceptOfAnswers(const std::string& hook, const Rule* stops, const Packet& packet,
                                                   const ConditionMatcher& matcher);

// The conditions, without chain and verdict, as each tool writes them. Family: that of the packets.
Result<std::string> IptablesText(const std::vector<RuleCondition>& conditions, Family family);
Result<std::string> AttributeText(const std::vector<RuleCondition>& conditions, Family family);

}  // namespace conntally::diagnose
