// Names of links, chains, sets and comments are chosen by whoever makes them, a container's root perhaps; the printed
// commands are run by the host's.
#include "daemon/diagnose/fixes/accept_rule.h"
#include "daemon/diagnose/fixes/firewall_commands.h"
#include "test/support/catch.h"
#include "test/unit/collectors/rules/built_rules.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;
using namespace conntally::test;

namespace {

constexpr auto kNft = RuleBackend::kNftables;
constexpr auto kLegacy = RuleBackend::kIptablesLegacy;

Decision StopAt(RuleBackend backend) {
  return {Verdict::kDrop, Match::kYes, {}, {backend, 0}, RuleRef{backend, 0}, {}};
}

}  // namespace

TEST_CASE("a setting of a link is one word to a shell, whatever the link's name") {
  Staged staged;
  const std::string path = "net/ipv4/conf/$(reboot)/rp_filter";
  staged.host.sysctls[path] = "1";
  Fix fix;
  staged.Check([&](const Case& facts, Report&) { fix = SetSysctl(facts, path, "2", ""); });
  CHECK(fix.command == "sysctl -w 'net.ipv4.conf.$(reboot).rp_filter=2'");
  CHECK(fix.undo == "sysctl -w 'net.ipv4.conf.$(reboot).rp_filter=1'");
  CHECK(fix.persist == "echo 'net.ipv4.conf.$(reboot).rp_filter = 2' > /etc/sysctl.d/90-rp_filter.conf");
  const std::string quote = "net/ipv4/conf/'$(reboot)'/rp_filter";
  staged.Check([&](const Case& facts, Report&) { fix = SetSysctl(facts, quote, "2", ""); });
  CHECK(fix.persist.starts_with("echo 'net.ipv4.conf.'\\''$(reboot)'\\''.rp_filter = 2' > "));
}

TEST_CASE("a link whose name means more than itself to nft or iptables stands in no command") {
  for (const char* name : {"x\"accept#", "x\\", "vpn+", "br*", "!", "-j"}) {
    INFO(name);
    CHECK_FALSE(CanNameLink(name));
    Packet packet = Syn(80);
    packet.in->name = name;
    for (const RuleBackend backend : {kNft, kLegacy}) {
      // One that the rule asks for is not known either, whoever wrote the rule.
      for (const bool asked : {false, true}) {
        std::vector<RuleCondition> conditions = {Tcp(), ToPort(80)};
        if (asked) conditions.push_back(In(name));
        Firewall firewall;
        firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {Does(Verdict::kDrop, conditions)},
                      RuleFamily::kIp, "filter", backend);
        const FirewallReading snapshot = firewall.Now();
        const PacketWalker walker(snapshot);
        const FirewallCommands commands(walker, {});
        if (const auto fix = commands.Accept(StopAt(backend), packet)) {
          CHECK(fix->command.find("accept#") == std::string::npos);
          if (!asked) CHECK(fix->command.find(" -i ") == std::string::npos);
          if (!asked) CHECK(fix->command.find("iifname") == std::string::npos);
        }
        CHECK_FALSE(commands.AcceptDiscovery(StopAt(backend), name, false, {}));
        CHECK_FALSE(
            commands.Masquerade(*walker.ChainNamed(backend, RuleFamily::kIp, "filter", "INPUT"), packet, name, ""));
      }
    }
  }
}

TEST_CASE("no nft command names a chain, and no undo a rule, that nft would read otherwise") {
  Firewall firewall;
  firewall.Base("filter", "in; flush ruleset", "input", 0, Verdict::kAccept,
                {Does(Verdict::kDrop, {Tcp(), ToPort(80)})});
  BuiltRule commented = Does(Verdict::kDrop, {Tcp()}, "drop comment \"a\" ; flush ruleset #\"");
  commented.rule.comment = "a\" ; flush ruleset #";
  firewall.Own("filter", "plain", {commented, Does(Verdict::kDrop, {FromSet("s ; flush ruleset")}, "drop")});
  const FirewallReading snapshot = firewall.Now();
  const PacketWalker walker(snapshot);
  const FirewallCommands commands(walker, {});
  CHECK_FALSE(commands.Accept(StopAt(kNft), Syn(80)));
  CHECK_FALSE(commands.Delete({kNft, 0}, ""));
  for (const std::size_t rule : {std::size_t{1}, std::size_t{2}}) {
    REQUIRE(commands.Delete({kNft, rule}, ""));
    CHECK(commands.Delete({kNft, rule}, "")->undo == "");
  }
}
