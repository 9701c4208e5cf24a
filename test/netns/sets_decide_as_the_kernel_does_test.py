#!/usr/bin/env python3
"""Who is in a set: asked of the kernel by packets, of the daemon and of diagnose in words. All three must agree."""

from diagnosis import diagnose
from dropped_traffic import HOST, client_and_host, send
from firewall import *
from harness import *

# Exceptions in ranges, and ranges in exceptions. Sources inside and at both ends of each.
NESTED = [("10.0.0.0/8",), ("10.0.0.0/24", "nomatch"), ("10.0.0.64/26",), ("10.0.0.70", "nomatch")]
SOURCES = ["10.0.0.5", "10.0.0.63", "10.0.0.64", "10.0.0.70", "10.0.0.127", "10.0.0.128", "10.0.1.0", "10.200.0.1"]


def matching(daemon, source):
    return {rule["rule"] for rule in daemon.sources(source=source)["matching_rules"]}


def check(client, host, daemon, rules):
    """`rules`: {port: text of the rule that drops what the set holds}. Behind each, one counts what the set does not hold."""
    wait_until(lambda: {rule["rule"] for rule in rules_of(daemon)} >= set(rules.values()), 10, "the rules to be read")
    wrong = []
    for port, text in rules.items():
        sent = 0
        for source in SOURCES:
            def counted():
                return {rule["rule"]: rule["counter"]["packets"] for rule in rules_of(daemon) if f"dport {port}" in rule["rule"]}

            before = counted()
            send(client, source, 3, port, HOST)
            sent += 3
            wait_until(lambda: sum(counted().values()) == sent, 10, "the packets to be counted")
            dropped = counted()[text] == before[text] + 3
            covered = text in matching(daemon, source)
            told = diagnose(host, "--source", source, "--protocol", "udp", "--dport", str(port))
            blamed = "drop-rule" in told.ids
            if not dropped == covered == blamed:
                wrong.append((port, source, {"the kernel drops": dropped, "matching_rules": covered, "diagnose": blamed}))
    assert not wrong, wrong


def test_ipsets_with_exceptions_in_either_order():
    with client_and_host() as (client, host), Daemon(host, QUICK) as daemon:
        lines, rules = [], {}
        for port, elements in (7201, NESTED), (7202, NESTED[::-1]):
            host.run("ipset", "create", f"s{port}", "hash:net")
            for element in elements:
                host.run("ipset", "add", f"s{port}", *element)
            rules[port] = f"-p udp -m udp --dport {port} -m set --match-set s{port} src -j DROP"
            lines += [f"-A INPUT {rules[port]}", f"-A INPUT -p udp -m udp --dport {port} -j ACCEPT"]
        host.run("iptables-nft-restore", input="*filter\n" + "\n".join(lines) + "\nCOMMIT\n")
        daemon.wait_ready()
        check(client, host, daemon, rules)


def test_nft_intervals_that_touch():
    with client_and_host() as (client, host), Daemon(host, QUICK) as daemon:
        host.nft("""
            table inet t {
                set s { type ipv4_addr; flags interval; elements = { 10.0.1.0/24, 10.0.0.64/26, 10.0.0.0-10.0.0.63, 10.0.0.128 }; }
                chain input {
                    type filter hook input priority 0
                    udp dport 7301 ip saddr @s counter drop
                    udp dport 7301 counter accept
                }
            }
        """)
        daemon.wait_ready()
        check(client, host, daemon, {7301: "udp dport 7301 ip saddr @s counter drop"})


main()
