#include "daemon/diagnose/fixes/namespace_commands.h"

#include <filesystem>
#include <fstream>

#include "daemon/diagnose/fixes/firewall_commands.h"
#include "test/support/catch.h"

using namespace conntally::diagnose;

TEST_CASE("a command for another namespace enters it, whole") {
  const std::string path = "/run/netns/box";
  CHECK(InNamespace(path, "iptables-nft -I INPUT 1 -s 192.0.2.7 -j ACCEPT") ==
        "nsenter --net=/run/netns/box -- iptables-nft -I INPUT 1 -s 192.0.2.7 -j ACCEPT");
  CHECK(InNamespace(path, "nft 'add rule ip t c tcp dport { 1, 2 } accept'") ==
        "nsenter --net=/run/netns/box -- nft 'add rule ip t c tcp dport { 1, 2 } accept'");
  // Of two commands both enter, and what a shell reads out is read out there.
  CHECK(InNamespace(path, "iptables -A A -j ACCEPT && iptables -A B -j ACCEPT") ==
        "nsenter --net=/run/netns/box -- sh -c 'iptables -A A -j ACCEPT && iptables -A B -j ACCEPT'");
  CHECK(InNamespace(path, "nft delete rule ip t c handle $(nft -a list chain ip t c)") ==
        "nsenter --net=/run/netns/box -- sh -c 'nft delete rule ip t c handle $(nft -a list chain ip t c)'");
  CHECK(InNamespace("/tmp/a b", "echo 'x' > /y") == "nsenter '--net=/tmp/a b' -- sh -c 'echo '\\''x'\\'' > /y'");
}

TEST_CASE("a report's commands and undos enter the namespace, but for the host's own and comments") {
  Report report;
  report.findings.resize(2);
  report.findings[0].fix = {{"nft flush ruleset", "", "nft -f /x", "write it"}, {"ss -ltn", "", "# as it was", ""}};
  report.findings[1].fix = {{"sysctl -w net.netfilter.nf_conntrack_max=9", "", "", "", RunOn::kHost},
                            {"# on that host: ss -ltn", "", "", ""}};
  RunInNamespace("/n", report);
  CHECK(report.findings[0].fix[0].command == "nsenter --net=/n -- nft flush ruleset");
  CHECK(report.findings[0].fix[0].undo == "nsenter --net=/n -- nft -f /x");
  CHECK(report.findings[0].fix[0].persist == "where the namespace /n is made: write it");
  CHECK(report.findings[0].fix[1].undo == "# as it was");
  CHECK(report.findings[1].fix[0].command == "sysctl -w net.netfilter.nf_conntrack_max=9");
  CHECK(report.findings[1].fix[1].command == "# on that host: ss -ltn");
}

TEST_CASE("in a namespace that was entered, no program of the host's rules is offered") {
  const auto root = std::filesystem::temp_directory_path() / ("conntally-owners-" + std::to_string(getpid()));
  std::filesystem::create_directories(root / "usr/sbin");
  std::filesystem::create_directories(root / "usr/bin");
  for (const char* program : {"usr/sbin/ufw", "usr/bin/firewall-cmd", "usr/bin/fail2ban-client"})
    std::ofstream(root / program) << "";
  CHECK(FindFirewallTools(root.string()).missing.empty());
  CHECK(FindFirewallTools(root.string(), OwnersServe::kOtherRules).missing.size() == 3);
  std::filesystem::remove_all(root);
}
