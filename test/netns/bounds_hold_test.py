#!/usr/bin/env python3
"""Past its bounds conntally counts what it turned away, and its totals stay true."""

import pathlib

from firewall import wait_for_polls
from harness import *


def test_more_sources_than_may_be_tracked_stay_in_the_totals():
    with Namespace() as namespace, Daemon(namespace, "sources: {tracked_max: 1000}\n") as daemon:
        daemon.wait_ready()
        with scraped_all_along(daemon):
            ct_load(namespace, "create", "--count", 6_000, "--sources", 3_000)
            wait_until(lambda: daemon.metrics().sum("conntally_connections") == 6_000, 5, "all in the totals")
            assert daemon.metrics().sum("conntally_overflow_total") > 0
            ct_load(namespace, "delete", "--count", 6_000, "--sources", 3_000)
            wait_until(lambda: daemon.metrics().sum("conntally_connections") == 0, 5, "all gone")


def test_more_connections_than_may_be_held_are_counted_as_turned_away():
    with Namespace() as namespace, Daemon(namespace, "conntrack: {connections_max: 1000}\n") as daemon:
        daemon.wait_ready()
        with scraped_all_along(daemon):
            ct_load(namespace, "create", "--count", 3_000)
            wait_until(lambda: daemon.metrics().sum("conntally_overflow_total") >= 2_000, 5, "turned away are counted")
            assert daemon.metrics().value("conntally_table_entries") == 3_000
            ct_load(namespace, "delete", "--count", 3_000)
            wait_until(lambda: daemon.metrics().sum("conntally_connections") == 0, 10, "all gone")
            ct_load(namespace, "create", "--first", 5_000, "--count", 800)
            daemon.wait_equal(10)


def test_a_limit_raised_just_before_a_rush_turns_nothing_away():
    with Namespace() as namespace, machine_sysctls(net__netfilter__nf_conntrack_max=20_000), Daemon(namespace) as daemon:
        daemon.wait_ready()
        pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max").write_text("200000")  # machine_sysctls puts it back
        ct_load(namespace, "create", "--count", 100_000)
        daemon.wait_equal(5)
        assert daemon.metrics().sum("conntally_overflow_total", what="connections") == 0


def test_what_finds_no_room_is_counted_once_and_quiet_rules_need_none():
    with Namespace() as namespace, Daemon(namespace, "rules: {poll_interval: 200ms}\n") as daemon:
        rules = "; ".join(f"ip saddr 10.1.{i // 250}.{i % 250} counter drop" for i in range(2_500))
        namespace.nft(f"table inet t {{ chain input {{ type filter hook input priority 0; {rules}; }}; }}\n")
        daemon.wait_ready()

        def turned_away(what):
            return daemon.metrics().sum("conntally_overflow_total", what=what)

        wait_until(lambda: turned_away("rule_series") > 0, 10, "the rules are read")
        series = turned_away("rule_series")
        wait_for_polls(daemon)
        assert turned_away("rule_series") == series
        assert turned_away("alerts") == 0


def test_an_excluded_source_is_in_the_totals_and_never_exported():
    with Namespace() as namespace, Daemon(namespace, 'sources: {exclude: ["10.0.0.0/29"]}\n') as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 400, "--sources", 20)
        daemon.wait_equal(5)
        metrics = daemon.metrics()
        sources = metrics.by_label("conntally_source_connections", "source")
        assert sources and not {f"10.0.0.{host}" for host in range(1, 8)} & set(sources)
        assert metrics.value("conntally_other_sources_connections") >= 7 * 20
        check_invariants(metrics)


main()
