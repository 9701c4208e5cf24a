// Which ports the rules give, told from the connections that were given some.
#include "collectors/nat/source_nat_rules.h"

#include <netinet/in.h>

#include "test/support/catch.h"
#include "test/unit/collectors/rules/built_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

using Ranges = std::vector<NumberRange>;
using Given = SourceNatRules::Given;

constexpr NumberRange kDefault{1024, 65'535};

BuiltRule Snat(const char* address, std::optional<NumberRange> ports, std::vector<RuleCondition> conditions = {}) {
  BuiltRule built = Does(Verdict::kNat, std::move(conditions));
  NatTarget target;
  target.kind = address != nullptr ? NatTarget::Kind::kSource : NatTarget::Kind::kMasquerade;
  if (address != nullptr) target.addresses = AddressRange{*IpAddress::Parse(address), *IpAddress::Parse(address)};
  target.ports = ports;
  built.rule.nat = target;
  return built;
}

RuleCondition Out(const char* name) { return {Kind::kOutInterface, false, {}, {}, {name}, {}, false}; }

FirewallReading Rules(std::vector<BuiltRule> rules) {
  return Firewall()
      .Base("nat", "post", "postrouting", 100, Verdict::kAccept, std::move(rules), RuleFamily::kIp, "nat")
      .Now();
}

Given Connection(std::uint16_t original, std::uint16_t given, const char* source = "10.0.0.2", std::uint32_t to = 443,
                 const char* address = "203.0.113.1") {
  Given connection;
  connection.packet.family = Family::kIpv4;
  connection.packet.source = *IpAddress::Parse(source);
  connection.packet.destination = *IpAddress::Parse("198.51.100.7");
  connection.packet.protocol = std::uint8_t{IPPROTO_TCP};
  connection.packet.source_port = NumberRange{original, original};
  connection.packet.destination_port = NumberRange{to, to};
  connection.packet.status.reset();
  connection.packet.mark.reset();
  connection.original_port = original;
  connection.address = *IpAddress::Parse(address);
  connection.port = given;
  return connection;
}

Ranges PortsOf(const FirewallReading& rules, const std::vector<Given>& connections) {
  return SourceNatRules(rules).PortsOf(connections);
}

}  // namespace

TEST_CASE("the kernel's own ports go by the source's port") {
  CHECK(KernelPorts(IPPROTO_TCP, 40'000) == kDefault);
  CHECK(KernelPorts(IPPROTO_UDP, 1024) == kDefault);
  CHECK(KernelPorts(IPPROTO_UDP, 1023) == NumberRange{512, 1023});
  CHECK(KernelPorts(IPPROTO_UDP, 512) == NumberRange{512, 1023});
  CHECK(KernelPorts(IPPROTO_UDP, 500) == NumberRange{1, 511});
  CHECK(KernelPorts(IPPROTO_ICMP, 500) == NumberRange{0, 65'535});
  CHECK(PortsOf(FirewallReading{}, {Connection(40'000, 40'000), Connection(500, 500)}) == Ranges{kDefault, {1, 511}});
}

TEST_CASE("a rule's range is that of the connections that it translates, and of no others") {
  const FirewallReading rules =
      Rules({Snat("203.0.113.1", NumberRange{5000, 5099}, {ToPort(443)}), Snat("203.0.113.1", std::nullopt)});
  CHECK(PortsOf(rules, {Connection(40'000, 5007)}) == Ranges{{5000, 5099}});
  CHECK(PortsOf(rules, {Connection(40'000, 40'000, "10.0.0.2", 80)}) == Ranges{kDefault});
  // From before the rule was made, and since.
  CHECK(PortsOf(rules, {Connection(40'000, 40'000), Connection(40'001, 5001)}) == Ranges{kDefault, {5000, 5099}});
  CHECK(SourceNatRules(rules).ports_least() == 100);
}

TEST_CASE("two sources with ranges of their own behind one address have one each") {
  const FirewallReading rules = Rules({Snat("203.0.113.1", NumberRange{5000, 5049}, {From("10.0.0.2", "10.0.0.2")}),
                                       Snat("203.0.113.1", NumberRange{5050, 5099}, {From("10.0.0.3", "10.0.0.3")})});
  CHECK(PortsOf(rules, {Connection(40'000, 5001), Connection(40'000, 5051, "10.0.0.3")}) ==
        Ranges{{5000, 5049}, {5050, 5099}});
}

TEST_CASE("where the way out decides, the range that explains the ports is taken") {
  const FirewallReading rules =
      Rules({Snat(nullptr, std::nullopt, {Out("wan0")}), Snat(nullptr, NumberRange{5000, 5099}, {Out("wan1")}),
             Snat(nullptr, NumberRange{5050, 5149}, {Out("wan2")})});
  std::vector<Given> connections;
  for (std::uint16_t i = 0; i < 20; ++i)
    connections.push_back(Connection(static_cast<std::uint16_t>(40'000 + i), static_cast<std::uint16_t>(5040 + i)));
  SECTION("of a narrow range") { CHECK(PortsOf(rules, connections) == Ranges{{5000, 5099}}); }
  SECTION("of the other one") {
    for (Given& connection : connections) connection.port = static_cast<std::uint16_t>(connection.port + 70);
    CHECK(PortsOf(rules, connections) == Ranges{{5050, 5149}});
  }
  SECTION("of the rule without one, which keeps ports") {
    for (Given& connection : connections) connection.port = connection.original_port;
    CHECK(PortsOf(rules, connections) == Ranges{kDefault});
  }
}

TEST_CASE("another address's rule, or another family's, is none of theirs") {
  const FirewallReading rules = Rules({Snat("203.0.113.2", NumberRange{5000, 5099})});
  CHECK(PortsOf(rules, {Connection(40'000, 5001)}) == Ranges{kDefault});
}

TEST_CASE("a map gives each key its own ports") {
  BuiltRule mapped = Snat("203.0.113.1", std::nullopt);
  const AddressRange address{*IpAddress::Parse("203.0.113.1"), *IpAddress::Parse("203.0.113.1")};
  mapped.rule.nat->known = false;
  mapped.rule.nat->addresses.reset();
  mapped.rule.nat->choices = {{{From("10.0.0.2", "10.0.0.2")}, address, NumberRange{5000, 5009}},
                              {{From("10.0.0.3", "10.0.0.3")}, address, NumberRange{5000, 5999}}};
  const FirewallReading rules = Rules({mapped});
  CHECK(PortsOf(rules, {Connection(40'000, 5001)}) == Ranges{{5000, 5009}});
  CHECK(PortsOf(rules, {Connection(40'000, 5001, "10.0.0.3")}) == Ranges{{5000, 5999}});
}

TEST_CASE("a rule in a chain of its own takes what is sent there") {
  const FirewallReading rules =
      Firewall()
          .Base("nat", "post", "postrouting", 100, Verdict::kAccept,
                {Leads(Verdict::kJump, "web", {ToPort(443)}), Snat("203.0.113.1", std::nullopt)}, RuleFamily::kIp,
                "nat")
          .Own("nat", "web", {Snat("203.0.113.1", NumberRange{5099, 5000})})
          .Now();
  CHECK(PortsOf(rules, {Connection(40'000, 5050)}) == Ranges{{5000, 5099}});
  CHECK(PortsOf(rules, {Connection(40'000, 5050, "10.0.0.2", 80)}) == Ranges{kDefault});
}
