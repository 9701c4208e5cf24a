// Builds the finding that a rule or a policy stops some traffic. Pure; one thread.
#pragma once

#include "daemon/diagnose/facts/rule_case.h"

namespace conntally::diagnose {

// "tcp from 192.0.2.7 to port 22"
std::string Traffic(const Packet& packet);
// The base chains that the walk passed.
std::string WayThrough(const RuleCase& rules, const Walk& walk);
FindingId IdOf(const Decision& stop);
// What a client notices.
std::string Symptom(const RuleCase& rules, const Decision& stop, const Packet& packet);
// Whether the wire showed traffic that failed on this host, or none that passed it; false without a watch.
bool MayFailHere(const RuleCase& rules);
// For a rule that may match this traffic, and whose counter rose by `growth` during the observation.
double CertaintyOfGrowth(const RuleCase& rules, std::uint64_t growth);
// Adds the program that manages these rules, if known.
void TellOwner(const RuleCase& rules, const Decision& stop, const Packet& packet, Finding& finding);
Finding StoppedBy(const RuleCase& rules, const Decision& stop, const Packet& packet, double certainty);
// Adds the findings that explain why the packet is stopped there, the likeliest first, with related causes.
void AddStopped(const RuleCase& rules, const Walk& walk, const Decision& stop, const AskedPacket& asked,
                double certainty, Report& report);
// If not all rules are understood: whether traffic on the wire, or else the counters, show that such packets pass.
bool MostLikelyPasses(const RuleCase& rules, const Walk& walk);
// No attempt was seen, and a rule that is not understood and has no counter may accept such packets.
bool MayPassUncounted(const RuleCase& rules, const Walk& walk);
// An accept after the rule that stops the packet; needs Walk::late_accept and a stopping rule.
Finding LateAccept(const RuleCase& rules, const Walk& walk, const Decision& stop, double certainty);

}  // namespace conntally::diagnose
