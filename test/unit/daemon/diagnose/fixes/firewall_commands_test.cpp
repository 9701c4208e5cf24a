#include "daemon/diagnose/fixes/firewall_commands.h"

#include <filesystem>

#include "test/support/catch.h"
#include "test/unit/collectors/rules/built_rules.h"

using namespace conntally;
using namespace conntally::diagnose;
using namespace conntally::test;

namespace {

std::vector<Fix> LetThrough(const FirewallCommands& commands, const Decision& stop, const Packet& packet) {
  Finding finding;
  commands.LetThrough(stop, packet, finding);
  return finding.fix;
}

Decision StopAt(std::size_t rule, RuleBackend backend) {
  return {Verdict::kDrop, Match::kYes, {}, {backend, 0}, RuleRef{backend, rule}, {}};
}

}  // namespace

TEST_CASE("a word is what a shell reads back") {
  CHECK(ShellWord("tcp") == "tcp");
  CHECK(ShellWord("") == "''");
  CHECK(ShellWord("$(reboot)") == "'$(reboot)'");
  CHECK(ShellWord("it's") == "'it'\\''s'");
}

TEST_CASE("a rule's text can do nothing in a shell") {
  Firewall firewall;
  constexpr auto kLegacy = RuleBackend::kIptablesLegacy;
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept,
                {Does(Verdict::kDrop, {}, "-s 192.0.2.7/32 -m comment --comment \"`reboot` \\\"$x\\\"\" -j DROP")},
                RuleFamily::kIp, "filter", kLegacy);
  firewall.Base("t", "input", "input", 0, Verdict::kAccept,
                {Does(Verdict::kDrop, {}, "tcp dport { 22, 80 } drop comment \"a; $(reboot) 'b'\"")},
                RuleFamily::kInet);
  const FirewallReading snapshot = firewall.Now();
  const PacketWalker walker(snapshot);
  const FirewallCommands commands(walker, {});
  CHECK(commands.Delete({kLegacy, 0}, "")->command == "iptables-legacy -D INPUT 1");
  CHECK(commands.Delete({kLegacy, 0}, "")->undo ==
        "iptables-legacy -I INPUT 1 -s 192.0.2.7/32 -m comment --comment '`reboot` \"$x\"' -j DROP");
  CHECK(commands.Delete({RuleBackend::kNftables, 0}, "")->undo ==
        "nft 'add rule inet t input tcp dport { 22, 80 } drop comment \"a; $(reboot) '\\''b'\\''\"'");
}

TEST_CASE("the tool is the one that the rules belong to, by the name that it has here") {
  Firewall firewall;
  constexpr auto kLegacy = RuleBackend::kIptablesLegacy;
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {}, RuleFamily::kIp, "filter", kLegacy);
  firewall.Base("t", "input", "input", 0, Verdict::kAccept, {}, RuleFamily::kInet);
  const FirewallReading snapshot = firewall.Now();
  const PacketWalker walker(snapshot);
  CHECK(FirewallCommands(walker, {}).ToolOf(kLegacy, RuleFamily::kIp, "filter") == "iptables-legacy");
  CHECK(FirewallCommands(walker, {false, true}).ToolOf(kLegacy, RuleFamily::kIp, "filter") == "iptables");
  CHECK(FirewallCommands(walker, {true, false}).ToolOf(kLegacy, RuleFamily::kIp, "filter") == "iptables-legacy");
  CHECK(FirewallCommands(walker, {true, false}).ToolOf(RuleBackend::kNftables, RuleFamily::kInet, "t") == "nft");
}

TEST_CASE("what the plain name stands for is found by its links") {
  const auto root = std::filesystem::temp_directory_path() / ("conntally-tools-" + std::to_string(getpid()));
  std::filesystem::create_directories(root / "usr/sbin");
  std::filesystem::create_directories(root / "etc/alternatives");
  std::filesystem::create_symlink("/etc/alternatives/iptables", root / "usr/sbin/iptables");
  std::filesystem::create_symlink("/usr/sbin/iptables-legacy", root / "etc/alternatives/iptables");
  CHECK(FindFirewallTools(root.string()).iptables_is_legacy);
  std::filesystem::remove_all(root);
  CHECK_FALSE(FindFirewallTools(root.string()).iptables_is_legacy);
}

TEST_CASE("who writes rules is told by their names, and has commands of its own") {
  Firewall firewall;
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kDrop, {Leads(Verdict::kJump, "ufw-user-input")});
  firewall.Own("filter", "ufw-user-input", {Does(Verdict::kDrop, {ToPort(80)})});
  firewall.Own("f2b", "f2b-sshd", {Does(Verdict::kReject)});
  const FirewallReading snapshot = firewall.Now();
  const auto owner = [&](const char* table, const char* chain) {
    return OwnerOf(snapshot, RuleBackend::kNftables, RuleFamily::kIp, table, chain);
  };
  CHECK(owner("filter", "INPUT") == "ufw");
  CHECK(owner("f2b", "f2b-sshd") == "fail2ban");
  CHECK(owner("firewalld", "filter_INPUT") == "firewalld");
  CHECK(owner("mine", "input") == "");
  const PacketWalker walker(snapshot);
  const auto fixes = LetThrough(FirewallCommands(walker, {}), StopAt(1, RuleBackend::kNftables), Syn(80));
  REQUIRE(fixes.size() == 2);
  CHECK(fixes[0].command == "ufw insert 1 allow in on eth0 proto tcp from 192.0.2.7 to 192.0.2.1 port 80");
  CHECK(fixes[1].risk.find("ufw") != std::string::npos);
  // A command that is not here helps nobody.
  CHECK(LetThrough(FirewallCommands(walker, {false, false, {"ufw"}}), StopAt(1, RuleBackend::kNftables), Syn(80))
            .size() == 1);
}

TEST_CASE("firewalld is told the zone that stops the packet, and nothing of what is forwarded") {
  Firewall firewall;
  firewall.Base("firewalld", "filter_INPUT", "input", 10, Verdict::kAccept,
                {Leads(Verdict::kGoto, "filter_IN_public_deny")}, RuleFamily::kInet);
  firewall.Base("firewalld", "filter_FORWARD", "forward", 10, Verdict::kAccept, {Does(Verdict::kReject)},
                RuleFamily::kInet);
  firewall.Own("firewalld", "filter_IN_public_deny", {Does(Verdict::kReject)}, RuleFamily::kInet);
  const FirewallReading snapshot = firewall.Now();
  const PacketWalker walker(snapshot);
  const FirewallCommands commands(walker, {});
  CHECK(LetThrough(commands, StopAt(2, RuleBackend::kNftables), Syn(80))[0].command ==
        "firewall-cmd --zone=public --add-rich-rule='rule priority=\"-1\" family=\"ipv4\" source address=\"192.0.2.7\" "
        "destination address=\"192.0.2.1\" port port=\"80\" protocol=\"tcp\" accept'");
  const Decision forward{
      Verdict::kReject, Match::kYes, {}, {RuleBackend::kNftables, 1}, RuleRef{RuleBackend::kNftables, 1}, {}};
  CHECK(
      LetThrough(commands, forward, Syn(80))[0].command.starts_with("nft 'insert rule inet firewalld filter_FORWARD"));
}

TEST_CASE("an owner's command names the destination where a rule stops the packet, and is none where it is not known") {
  Firewall firewall;
  firewall.Base("filter", "INPUT", "input", 0, Verdict::kDrop, {Leads(Verdict::kJump, "ufw-user-input")});
  firewall.Own("filter", "ufw-user-input", {Does(Verdict::kDrop, {ToPort(80)})});
  const FirewallReading snapshot = firewall.Now();
  const PacketWalker walker(snapshot);
  const FirewallCommands commands(walker, {});
  Packet anywhere = Syn(80);
  anywhere.destination.reset();
  for (const Fix& fix : LetThrough(commands, StopAt(1, RuleBackend::kNftables), anywhere))
    CHECK_FALSE(fix.command.starts_with("ufw "));
  // A policy stops what no rule speaks of: an allow stands behind all that do.
  const Decision policy{Verdict::kDrop, Match::kYes, {}, {RuleBackend::kNftables, 0}, std::nullopt, {}};
  CHECK(LetThrough(commands, policy, anywhere)[0].command ==
        "ufw allow in on eth0 proto tcp from 192.0.2.7 to any port 80");
}
