#!/usr/bin/env python3
"""Which drop rules cover a source, hit or not; and whom each rule dropped."""

from dropped_traffic import client_and_host, send
from firewall import *
from harness import *


def matching(daemon, source):
    """{rule: (any_source, other_conditions)} of the drop rules that cover the address, and the rows of the answer."""
    answer = daemon.sources(source=source)
    rules = {}
    for rule in answer["matching_rules"]:
        assert rule["certain"], rule
        assert rule["verdict"] in ("drop", "reject", "vmap"), rule
        rules[rule["rule"]] = (rule["any_source"], rule["other_conditions"])
    for row in answer["sources"]:
        assert row["matching_rules"] == answer["matching_rules"]
    return rules


def wait_for_rules(daemon, source, expected):
    wait_until(lambda: matching(daemon, source) == expected, 5, lambda: f"{source}: {expected}, but found {matching(daemon, source)}")


def test_nftables():
    with Namespace() as namespace, Daemon(namespace, QUICK) as daemon:
        namespace.nft("""
            table inet t {
                set blocked { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 10.0.0.9 }; }
                chain judged { ip saddr 10.1.2.0/24 counter drop; tcp dport 23 drop; }
                chain input {
                    type filter hook forward priority 0
                    ip saddr @blocked counter drop
                    ip saddr { 10.0.0.1, 10.0.0.3-10.0.0.5 } tcp dport 80 counter reject
                    ip saddr != 10.0.0.0/8 drop
                    ip saddr 10.1.0.0/16 jump judged
                    ip saddr vmap { 10.0.0.7 : drop, 10.0.0.8 : accept }
                    udp dport 53 drop
                    ip6 saddr 2001:db8::/32 drop
                    ip saddr 10.0.0.1 accept
                }
            }
        """)
        daemon.wait_ready()
        everybody = {"udp dport 53 drop": (True, True)}
        no_ten = {"ip saddr != 10.0.0.0/8 drop": (False, False)}
        blocked = {"ip saddr @blocked counter drop": (False, False)}
        wait_for_rules(daemon, "192.0.2.77", blocked | no_ten | everybody)
        wait_for_rules(daemon, "10.0.0.9", blocked | everybody)
        wait_for_rules(daemon, "10.0.0.4", {"ip saddr { 10.0.0.1, 10.0.0.3-10.0.0.5 } tcp dport 80 counter reject with icmp port-unreachable": (False, True)} | everybody)
        wait_for_rules(daemon, "10.0.0.7", {"ip saddr vmap { 10.0.0.7 : drop, 10.0.0.8 : accept }": (False, False)} | everybody)
        wait_for_rules(daemon, "10.0.0.8", everybody)
        wait_for_rules(daemon, "10.1.2.3", {"ip saddr 10.1.2.0/24 counter drop": (False, False), "tcp dport 23 drop": (False, True)} | everybody)
        wait_for_rules(daemon, "2001:db8::1", {"ip6 saddr 2001:db8::/32 drop": (False, False)} | everybody)
        namespace.run("nft", "add", "element", "inet", "t", "blocked", "{ 10.0.0.8 }")
        wait_for_rules(daemon, "10.0.0.8", blocked | everybody)
        assert "matching_rules" not in daemon.sources(source="10.0.0.0/8"), "asked about many"
        assert "matching_rules" not in daemon.sources()


def check_iptables(tool):
    with Namespace() as namespace, Daemon(namespace, QUICK) as daemon:
        namespace.run("ipset", "create", "bad", "hash:net")
        namespace.run("ipset", "add", "bad", "10.2.0.0/16")
        namespace.run("ipset", "add", "bad", "10.2.0.5", "nomatch")
        namespace.run(f"{tool}-restore", input="*filter\n:mine - [0:0]\n"
                      "-A INPUT -s 10.0.0.0/24 -j DROP\n"
                      "-A INPUT -m set --match-set bad src -j DROP\n"
                      "-A INPUT -m iprange --src-range 10.0.1.5-10.0.1.9 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable\n"
                      "-A INPUT ! -s 10.0.0.0/8 -j mine\n"
                      "-A mine -p udp -m udp --dport 53 -j DROP\nCOMMIT\n")
        daemon.wait_ready()
        wait_for_rules(daemon, "10.0.0.1", {"-s 10.0.0.0/24 -j DROP": (False, False)})
        wait_for_rules(daemon, "10.2.0.1", {"-m set --match-set bad src -j DROP": (False, False)})
        wait_for_rules(daemon, "10.2.0.5", {})
        answer = matching(daemon, "10.0.1.7")
        assert [("iprange" in rule, flags) for rule, flags in answer.items()] == [(True, (False, True))], answer
        wait_for_rules(daemon, "192.0.2.1", {"-p udp -m udp --dport 53 -j DROP": (False, True)})


def test_iptables():
    if not shutil.which("ipset"):
        raise Skip("needs the command ipset")
    check_iptables("iptables-legacy")
    check_iptables("iptables-nft")


def test_a_rules_sources():
    with client_and_host() as (client, host), Daemon(host, "rules: {poll_interval: 1s}\n") as daemon:
        host.nft("table inet t { chain input { type filter hook input priority 0; udp dport 7101 counter drop; udp dport 7102 counter drop; }; }\n")
        daemon.wait_for_log("eBPF counts")
        daemon.wait_ready()
        wait_for_polls(daemon)
        for last in range(1, 13):
            send(client, f"10.0.0.{last}", last, 7101)
        send(client, "2001:db8::1", 40, 7102)

        def sources():
            return {rule["rule"]: [(row["source"], row["packets"], row["via"]) for row in rule["sources"]] for rule in rules_of(daemon)}

        expected = {"udp dport 7101 counter drop": [(f"10.0.0.{last}", last, "ebpf") for last in range(12, 2, -1)],
                    "udp dport 7102 counter drop": [("2001:db8::1", 40, "ebpf")]}
        wait_until(lambda: sources() == expected, 15, lambda: f"{expected}, but found {sources()}")


main()
