#!/usr/bin/env python3
"""Without eBPF and without log rules, sets with counters tell who was dropped."""

import contextlib

from dropped_traffic import client_and_host, dropped, send
from firewall import wait_for_polls
from harness import *

CONFIG = "rules: {poll_interval: 500ms}\ndrops: {ebpf: off, kernel_log: false%s}\n"


def wait_for(daemon, expected):
    with contextlib.suppress(AssertionError):
        wait_until(lambda: dropped(daemon) == expected, 10, "the drops")
    assert dropped(daemon) == expected, f"{expected}, but found {dropped(daemon)}"
    wait_for_polls(daemon, 6)
    assert dropped(daemon) == expected, f"not for long: {dropped(daemon)}"


def test_nftables():
    with client_and_host() as (client, host):
        host.nft("""
            table inet t {
                set bad { type ipv4_addr; counter; elements = { 10.0.0.1, 10.0.0.2 }; }
                set bad6 { type ipv6_addr; flags dynamic; size 100; }
                set seen { type ipv4_addr; flags dynamic, timeout; size 100; timeout 1m; }
                set twice { type ipv4_addr; counter; elements = { 10.0.0.5 }; }
                set first { type ipv4_addr; counter; elements = { 10.0.0.6 }; }
                chain input {
                    type filter hook input priority 0
                    ip saddr @bad drop
                    udp dport 7101 update @bad6 { ip6 saddr counter } drop
                    udp dport 7102 update @seen { ip saddr counter } reject
                    udp dport 7103 ip saddr @twice drop
                    udp dport 7104 ip saddr @twice accept
                    ip saddr @first udp dport 7105 drop
                }
            }
        """)
        send(client, "10.0.0.1", 50, 7100)  # before the start
        send(client, "10.0.0.3", 3, 7102)
        with Daemon(host, CONFIG % "") as daemon:
            daemon.wait_ready()
            wait_for_polls(daemon)
            send(client, "10.0.0.1", 20, 7100)
            send(client, "10.0.0.2", 21, 7100)
            send(client, "2001:db8::1", 22, 7101)
            send(client, "10.0.0.3", 23, 7102)
            send(client, "10.0.0.4", 24, 7102)
            for port in (7103, 7104):
                send(client, "10.0.0.5", 25, port)  # dropped, too, but the set does not say so
            for port in (7105, 7106):
                send(client, "10.0.0.6", 26, port)  # likewise
            expected = {
                ("10.0.0.1", "ip saddr @bad drop", "set"): 20,
                ("10.0.0.2", "ip saddr @bad drop", "set"): 21,
                ("2001:db8::1", "udp dport 7101 update @bad6 { ip6 saddr counter } drop", "set"): 22,
                ("10.0.0.3", "udp dport 7102 update @seen { ip saddr counter } reject with icmp port-unreachable", "set"): 23,
                ("10.0.0.4", "udp dport 7102 update @seen { ip saddr counter } reject with icmp port-unreachable", "set"): 24,
            }
            wait_for(daemon, expected)
            host.run("nft", "delete", "element", "inet", "t", "bad", "{ 10.0.0.1 }")
            host.run("nft", "add", "element", "inet", "t", "bad", "{ 10.0.0.1, 10.0.0.7 }")
            send(client, "10.0.0.1", 5, 7100)
            send(client, "10.0.0.7", 6, 7100)
            expected["10.0.0.1", "ip saddr @bad drop", "set"] = 25
            expected["10.0.0.7", "ip saddr @bad drop", "set"] = 6
            wait_for(daemon, expected)
            metrics = daemon.metrics()
            assert metrics.value("conntally_dropped_packets_total", via="set") == sum(expected.values())
            assert metrics.value("conntally_source_dropped_packets_total", source="10.0.0.1", rule="ip saddr @bad drop", via="set") == 25


def check_ipset(tool):
    with client_and_host() as (client, host), Daemon(host, CONFIG % "") as daemon:
        for name in ("bad", "first"):
            host.run("ipset", "create", name, "hash:ip", "counters")
        host.run("ipset", "add", "bad", "10.0.0.1")
        host.run("ipset", "add", "first", "10.0.0.2")
        host.run(tool, "-A", "INPUT", "-p", "udp", "-m", "udp", "--dport", "7101", "-m", "set", "--match-set", "bad", "src", "-j", "DROP")
        host.run(tool, "-A", "INPUT", "-m", "set", "--match-set", "first", "src", "-p", "udp", "-m", "udp", "--dport", "7102", "-j", "DROP")
        daemon.wait_ready()
        wait_for_polls(daemon)
        for port in (7101, 7102):
            send(client, "10.0.0.1", 20, port)
            send(client, "10.0.0.2", 20, port)
        rule = "-p udp -m udp --dport 7101 -m set --match-set bad src -j DROP"
        wait_for(daemon, {("10.0.0.1", rule, "set"): 20})


def test_ipsets():
    if not shutil.which("ipset"):
        raise Skip("needs the command ipset")
    check_ipset("iptables-legacy")
    check_ipset("iptables-nft")


def test_what_a_log_rule_tells_of_as_well_counts_once():
    with client_and_host() as (client, host), Daemon(host, CONFIG % ", nflog_groups: [5]") as daemon:
        host.nft("""
            table inet t {
                set bad { type ipv4_addr; counter; elements = { 10.0.0.1, 10.0.0.2 }; }
                chain input { type filter hook input priority 0; udp dport 7101 log prefix "logged" group 5; ip saddr @bad drop; }
            }
        """)
        daemon.wait_for_log("NFLOG group 5")
        daemon.wait_ready()
        wait_for_polls(daemon)
        for _ in range(4):
            send(client, "10.0.0.1", 50, 7101)
            send(client, "10.0.0.2", 50, 7102)
            wait_for_polls(daemon, 1)
        wait_for(daemon, {("10.0.0.1", "logged", "nflog"): 200, ("10.0.0.2", "ip saddr @bad drop", "set"): 200})


main()
