// What the checks of rules share: two readings of the rules, the walk through them, and the facts of the host that they
// need. Plain values, except that routes are asked of the kernel (or of a test's substitute). One thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "collectors/host/network_reader.h"
#include "collectors/host/packets/packet_watch.h"
#include "collectors/rules/walk/packet_walk.h"
#include "daemon/command_line/grammar/question.h"
#include "daemon/diagnose/facts/host_facts.h"
#include "daemon/diagnose/fixes/firewall_commands.h"
#include "daemon/diagnose/report/finding.h"

namespace conntally::diagnose {

struct RuleInputs {
  const Question& question;
  const HostFacts& host;
  const FirewallReading& before;  // two readings, with time in between
  const FirewallReading& after;
  std::string root = {};  // before /etc and /usr
  std::function<Result<Route>(const RouteQuestion&)> find_route = FindRoute;
  const WatchedPackets* watched = nullptr;  // seen between the readings
};

class RuleCase {
 public:
  explicit RuleCase(const RuleInputs& inputs);

  const RuleInputs& inputs;
  const PacketWalker walker;
  const FirewallCommands commands;

  // Rules that exist, or may exist, and could not be read: no finding may rely on what they do not do.
  const std::vector<std::string> unread;

  bool narrowed() const;  // the question narrows the traffic at all
  Walk Through(const AskedPacket& asked, Limits limits = Limits::kWithin) const {
    return Through(walker, asked, limits);
  }
  // A walk through other rules than those that were read.
  Walk Through(const PacketWalker& rules, const AskedPacket& asked, Limits limits) const;

  std::optional<std::uint64_t> Packets(RuleRef rule) const;  // nullopt: the rule has no counter
  std::uint64_t Growth(RuleRef rule) const;
  std::optional<std::uint64_t> PolicyPackets(ChainRef chain) const;
  std::uint64_t PolicyGrowth(ChainRef chain) const;
  double seconds() const;  // time between the readings
  // "it counted 12 packets, 3 of them in the last 10 s"
  std::string Counted(const Decision& decision) const;
  std::string Place(const Decision& decision) const;

  // Packets that match the question; several if it leaves something open.
  std::vector<AskedPacket> Asked() const;
  // Traffic seen on the wire that got no answer, or a refusal: the most frequent, each once.
  std::vector<AskedPacket> SeenToFail() const;
  // Links by which other hosts' packets arrive; at most a few.
  std::vector<const Link*> OuterLinks() const;
  std::optional<IpAddress> AddressOn(std::uint32_t link, Family family) const;
  bool Forwards(Family family) const;
  // Whether packets that a bridge passes on meet IP rules, and conntrack.
  bool BridgedMeetIpRules(Family family) const;
  // The base chain that leads to the rule's chain; may be that chain itself.
  std::optional<ChainRef> BaseOf(const Rule& rule) const;

 private:
  AskedPacket Template(Family family) const;
  std::optional<PacketInterface> WayOut(const Packet& packet) const;
  WalkRouting Routing() const;
  // Whether this host's route to the source leaves by that link.
  std::optional<bool> ComesBackBy(const IpAddress& source, std::uint32_t link) const;
};

PacketInterface InterfaceOf(const Link& link);

// A packet that the rule matches, as far as its conditions tell. No such packet was seen: its source is known only if
// the rule names one source.
Packet TakenBy(const Rule& rule);

std::vector<std::string> UnreadRules(const FirewallReading& rules, const HostFacts& host);

// RFC 1918, RFC 6598, RFC 4193: addresses that no host on the Internet answers to.
bool IsPrivate(const IpAddress& address);

}  // namespace conntally::diagnose
