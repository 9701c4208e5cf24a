#!/usr/bin/env python3
"""Asking for a legacy table makes it, and every packet pass it: conntally never asks for one that is not there."""

from firewall import *
from harness import *


def names(namespace):
    return [namespace.run("cat", f"/proc/net/{family}_tables_names", check=False).stdout.split() for family in ("ip", "ip6")]


def test_where_there_is_none():
    with Namespace() as namespace, Daemon(namespace, QUICK) as daemon:
        daemon.wait_ready()
        wait_until(lambda: "nftables" in daemon.get("/api/v1/rules").json()["backends"], 5, "the first poll")
        wait_for_polls(daemon)
        daemon.metrics()
        assert names(namespace) == [[], []], names(namespace)
        assert rules_of(daemon) == []


def test_where_there_is_one():
    with Namespace() as namespace:
        namespace.run("iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-j", "ACCEPT")
        before = names(namespace)
        assert before == [["raw"], []], before
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            wait_until(lambda: len(rules_of(daemon)) == 1, 5, "the one rule")
            wait_for_polls(daemon)
            assert names(namespace) == before, names(namespace)
            # One that comes later is found.
            namespace.run("ip6tables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "1", "-j", "DROP")
            wait_until(lambda: len(rules_of(daemon, backend="ip6tables-legacy")) == 1, 5, "the new table")
            assert names(namespace) == [["raw"], ["filter"]], names(namespace)


def test_nothing_of_nftables_is_changed():
    with Namespace() as namespace:
        namespace.run("iptables-nft", "-A", "INPUT", "-p", "udp", "--dport", "1", "-j", "DROP")
        send_udp(namespace, 1, 3)
        listing = namespace.run("nft", "-a", "list", "ruleset").stdout
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            wait_until(lambda: len(rules_of(daemon)) == 1, 5, "the rule")
            wait_for_polls(daemon)
            assert daemon.metrics().value("conntally_ruleset_changes_total", backend="nftables") == 0
        assert namespace.run("nft", "-a", "list", "ruleset").stdout == listing


main()
