#include "daemon/diagnose/fixes/accept_rule.h"

#include <random>

#include "daemon/diagnose/fixes/firewall_commands.h"
#include "test/support/catch.h"
#include "test/unit/collectors/rules/built_rules.h"

using namespace conntally;
using namespace conntally::diagnose;
using namespace conntally::test;

namespace {

constexpr auto kNft = RuleBackend::kNftables;
constexpr auto kLegacy = RuleBackend::kIptablesLegacy;

// Rules and packets of a small world, so that they often meet.
class World {
 public:
  explicit World(unsigned seed) : random_(seed) {}

  Packet AnyPacket() {
    Packet packet;
    packet.source = IpAddress::Parse(Pick({"192.0.2.7", "192.0.2.8", "198.51.100.9"}));
    packet.destination = IpAddress::Parse(Pick({"192.0.2.1", "10.0.0.2"}));
    packet.destination_is_local = packet.destination == IpAddress::Parse("192.0.2.1");
    packet.source_is_local = false;
    packet.in = PacketInterface{2, Pick({"eth0", "eth1"})};
    packet.protocol = static_cast<std::uint8_t>(Pick({6, 17, 1}));
    if (packet.protocol == 1) {
      packet.icmp_type = static_cast<std::uint8_t>(Pick({8, 13}));
      packet.icmp_code = 0;
    } else {
      const auto port = static_cast<std::uint32_t>(Pick({22, 80, 443}));
      const auto from = static_cast<std::uint32_t>(Pick({500, 40'000}));
      packet.destination_port = NumberRange{port, port};
      packet.source_port = NumberRange{from, from};
    }
    if (packet.protocol == 6) packet.tcp_flags = static_cast<std::uint8_t>(Pick({2, 16, 18}));
    packet.state = static_cast<std::uint32_t>(Pick({8, 2, 1}));
    packet.mark = static_cast<std::uint32_t>(Pick({0, 1, 17}));
    return packet;
  }

  RuleCondition AnyCondition() {
    switch (Pick({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})) {
      case 0: return From("192.0.2.7", "192.0.2.7", Chance());
      case 1: return From("192.0.2.0", "192.0.2.255", Chance());
      case 2: return FromSet("banned");
      case 3: return In(Pick({"eth0", "eth*"}), Chance());
      case 4: return Numbers(Kind::kDestinationPort, {{80, 80}, {400, 500}}, Chance());
      case 5: return Numbers(Kind::kSourcePort, {{1024, 65535}}, Chance());
      case 6: return Numbers(Kind::kConntrackState, {{9, 9}}, Chance());
      case 7: return Numbers(Kind::kMark, {{1, 1}}, Chance());
      case 8: return Numbers(Kind::kTcpFlags, {{2, 23}}, Chance());
      case 9: return Numbers(Kind::kDestinationType, {{2, 2}}, Chance());
      default: {
        RuleCondition tuple;
        tuple.kind = Kind::kTuple;
        tuple.alternatives = {{From("192.0.2.7", "192.0.2.7"), ToPort(80)},
                              {From("192.0.2.8", "192.0.2.8"), ToPort(22)}};
        return tuple;
      }
    }
  }

  BuiltRule AnyDrop() {
    std::vector<RuleCondition> conditions = {
        Numbers(Kind::kProtocol, {{static_cast<std::uint32_t>(Pick({6, 17})), 0}})};
    conditions[0].numbers[0].last = conditions[0].numbers[0].first;
    for (int i = Pick({0, 1, 2, 3}); i > 0; --i) conditions.push_back(AnyCondition());
    BuiltRule rule = Does(Verdict::kDrop, std::move(conditions), "text");
    rule.rule.fully_understood = Pick({0, 1, 2, 3, 4, 5, 6, 7}) != 0;
    return rule;
  }

  // What is not known of a packet.
  Packet Blurred(Packet packet) {
    if (Chance()) packet.source_port = kClientPorts;
    if (Pick({0, 1, 2}) == 0) packet.source.reset();
    if (Pick({0, 1, 2}) == 0) packet.in.reset();
    if (Pick({0, 1, 2}) == 0) packet.destination_port.reset();
    return packet;
  }

 private:
  template <typename T>
  T Pick(std::initializer_list<T> of) {
    return of.begin()[std::uniform_int_distribution<std::size_t>(0, of.size() - 1)(random_)];
  }
  bool Chance() { return Pick({0, 1}) != 0; }

  std::mt19937 random_;
};

Match All(const ConditionMatcher& matcher, const Rule& rule, const std::vector<RuleCondition>& conditions,
          const Packet& packet) {
  Match match = Match::kYes;
  for (const RuleCondition& each : conditions) match = Both(match, matcher.Condition(rule, each, packet).match);
  return match;
}

std::vector<Fix> FixesFor(const FirewallReading& snapshot, const Decision& stop, const Packet& packet) {
  const PacketWalker walker(snapshot);
  Finding finding;
  FirewallCommands(walker, {}).LetThrough(stop, packet, finding);
  CHECK((finding.fix.empty() != finding.decide.empty()));
  return finding.fix;
}

}  // namespace

TEST_CASE(
    "whatever the rule and the packet are, a printed accept names the source, and takes nothing that the rule does not "
    "stop") {
  std::size_t printed = 0, refused = 0, taken = 0;
  for (unsigned seed = 0; seed < 10'000; ++seed) {
    World world(seed);
    const RuleBackend backend = seed % 2 == 0 ? kNft : kLegacy;
    Firewall firewall;
    firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {world.AnyDrop()}, RuleFamily::kIp, "filter",
                  backend);
    firewall.Set("filter", "banned", {{{*IpAddress::Parse("192.0.2.7"), *IpAddress::Parse("192.0.2.7")}, {}, false}});
    const FirewallReading snapshot = firewall.Now();
    const Rule& rule = snapshot.backends.at(backend).ruleset->rules[0];
    const ConditionMatcher matcher(snapshot);
    const Packet packet = world.Blurred(world.AnyPacket());
    const Decision stop{Verdict::kDrop, Match::kYes, {}, {backend, 0}, RuleRef{backend, 0}, {}};
    for (const Fix& fix : FixesFor(snapshot, stop, packet)) {
      INFO(seed << ": " << fix.command);
      if (fix.command.find("delete rule") != std::string::npos || fix.command.find(" -D ") != std::string::npos)
        continue;
      REQUIRE(packet.source);
      CHECK(fix.command.find(backend == kNft ? "saddr " + packet.source->ToString() + " "
                                             : "-s " + packet.source->ToString() + " ") != std::string::npos);
      CHECK(fix.command.find(backend == kNft ? "insert rule ip filter INPUT handle 10 "
                                             : "iptables-legacy -I INPUT 1 ") != std::string::npos);
    }
    const auto conditions = AcceptOfPacket("input", &rule, packet, matcher);
    ++(conditions ? printed : refused);
    if (!conditions) continue;
    for (int i = 0; i < 200; ++i) {
      const Packet other = world.AnyPacket();
      if (All(matcher, rule, *conditions, other) == Match::kNo) continue;
      ++taken;
      INFO(seed << ": "
                << (IptablesText(*conditions, Family::kIpv4) ? *IptablesText(*conditions, Family::kIpv4) : "no words"));
      CHECK(matcher.Conditions(rule, other).match == Match::kYes);
      CHECK(other.source == packet.source);
    }
  }
  // The world is not so small that nothing was tried.
  CHECK(printed > 500);
  CHECK(refused > 500);
  CHECK(taken > 1000);
}
