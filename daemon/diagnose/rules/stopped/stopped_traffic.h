// The finding that a rule or a policy stops some traffic. Pure; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// "tcp from 192.0.2.7 to port 22"
std::string Traffic(const Packet& packet);
// The base chains that it passed.
std::string WayThrough(const RuleCase& rules, const Walk& walk);
FindingId IdOf(const Decision& stop);
// What a client hears of it.
std::string Symptom(const RuleCase& rules, const Decision& stop, const Packet& packet);
// Of a rule of which it is not known whether it takes this traffic, and which stopped so many packets meanwhile.
double CertaintyOfGrowth(const RuleCase& rules, std::uint64_t growth);
// Adds who writes the rules of that place, if that is known.
void TellOwner(const RuleCase& rules, const Decision& stop, const Packet& packet, Finding& finding);
Finding StoppedBy(const RuleCase& rules, const Decision& stop, const Packet& packet, double certainty);
// The findings that tell why the packet is stopped there, the likeliest first: what else explains it comes with it.
void AddStopped(const RuleCase& rules, const Walk& walk, const Decision& stop, const AskedPacket& asked,
                double certainty, Report& report);
// Where not all rules are understood: what was seen on the wire, or else what they counted, says that such packets
// pass.
bool MostLikelyPasses(const RuleCase& rules, const Walk& walk);
// Nobody was seen to try, and a rule that is not understood, which has no counter, may let such packets pass.
bool MayPassUncounted(const RuleCase& rules, const Walk& walk);
// An accept behind the rule that stops the packet; needs Walk::late_accept and a rule that stops.
Finding LateAccept(const RuleCase& rules, const Walk& walk, const Decision& stop, double certainty);

}  // namespace conntally::diagnose
