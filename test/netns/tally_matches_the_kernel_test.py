#!/usr/bin/env python3
"""The tally per source is the kernel's own, source by source, and goes back to nothing."""

import collections
import ipaddress

from harness import *
from traffic import Network

RECONCILE_SECONDS = 2
CONFIG = f"""
conntrack: {{reconcile_interval: {RECONCILE_SECONDS}s}}
sources: {{idle_retention: 3s}}
"""
# 49,400 made at once from 1,000 sources; the rest of the 50,000 are really spoken.
BULK = ["--count", 44_400, "--sources", 1000, "--ipv6-share", 0.3, "--protocol", "mixed", "--zones", "0,5",
        "--replied-every", 3]
# The same tuples again in a third zone: other connections of the same sources.
AGAIN = ["--count", 5_000, "--sources", 1000, "--ipv6-share", 0.3, "--protocol", "mixed", "--zones", "9"]


def speak(network, sources=25):
    """Real connections, some held, some ended, some unanswered: plain, masqueraded, and in two zones."""
    held = []
    networks = ["10.0.9.{}", "10.1.0.{}", "10.2.0.{}", "10.3.0.{}", "2001:db8::9:0:0:{}", "2001:db8::2:0:0:{}"]
    for prefix in networks:
        for host in range(1, sources + 1):
            source = prefix.format(host)
            held.append(network.tcp(source))
            network.tcp(source).close()
            network.udp(source)
            network.ping(source, host)
        held.append(network.tcp_unanswered(prefix.format(1)))
        network.udp(prefix.format(2), answered=False)
    return held


def test_fifty_thousand_connections_of_a_thousand_sources_equal_the_kernels():
    with Network() as network, Daemon(network.gateway, CONFIG) as daemon:
        daemon.wait_ready()
        with scraped_all_along(daemon):
            held = speak(network)
            ct_load(network.gateway, "create", *BULK, "--rate", 50_000 / SLOWNESS)
            ct_load(network.gateway, "create", *AGAIN)
            claim("equal after the last connection", daemon.wait_equal(10), 2)
            # What no event tells at once, the next comparison does.
            claim("states and unreplied equal too", daemon.wait_equal(30, states=True), 2 * RECONCILE_SECONDS)
            kernel = KernelTable(network.gateway)
            print(f"  {kernel.total} connections of {len(kernel.connections)} sources")
            assert kernel.total >= 49_900 and len(kernel.connections) >= 1000
            check_books(daemon)

            for connection in held:
                connection.close()
            ct_load(network.gateway, "delete", *BULK)
            ct_load(network.gateway, "delete", *AGAIN)
            network.gateway.run("conntrack", "-F")
            claim("back to zero", daemon.wait_equal(10), 2)
            metrics = daemon.metrics()
            assert metrics.sum("conntally_connections") == metrics.value("conntally_sources") == 0
            assert metrics.sum("conntally_connections_opened_total") == metrics.sum("conntally_connections_closed_total")
            claim("sources forgotten", wait_until(lambda: daemon.sources()["total"] == 0, 30, "no source left"), 6)
        metrics = daemon.metrics()
        assert not metrics.series("conntally_source_connections"), "a forgotten source is still exported"
        assert metrics.value("conntally_netlink_overruns_total") == 0


def check_books(daemon):
    """Opened less closed is what there is, in all and for every source."""
    metrics = daemon.metrics()
    opened = metrics.by_label("conntally_connections_opened_total", "protocol")
    closed = metrics.by_label("conntally_connections_closed_total", "protocol")
    there = metrics.by_label("conntally_connections", "protocol")
    for protocol in {*opened, *there}:
        balance = opened.get(protocol, 0) - closed.get(protocol, 0)
        assert balance == there.get(protocol, 0), f"{protocol}: opened - closed {balance}, there {there.get(protocol)}"
    for row in daemon.sources()["sources"]:
        assert row["opened"] - row["closed"] == row["connections"], row
        assert 0 <= row["unreplied"] <= row["connections"], row


def test_entries_that_expire_leave_the_tally():
    with Namespace() as namespace, Daemon(namespace, CONFIG) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 5_000, "--timeout", 3)
        expired_at = time.monotonic() + 3
        daemon.wait_equal(5)
        wait_until(lambda: daemon.metrics().sum("conntally_connections") == 0, 30, "expired entries gone")
        claim("gone after expiry", time.monotonic() - expired_at, 2 * RECONCILE_SECONDS)


def test_sources_are_grouped_by_prefix():
    config = "sources: {ipv4_prefix: 24, ipv6_prefix: 120}\n"
    with Namespace() as namespace, Daemon(namespace, config) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 6_000, "--sources", 2000, "--ipv6-share", 0.4)
        wait_until(lambda: daemon.metrics().sum("conntally_connections") == 6_000, 5, "all are counted")
        expected = collections.Counter()
        for source, connections in KernelTable(namespace).connections.items():
            prefix = 120 if ":" in source else 24
            expected[str(ipaddress.ip_network(f"{source}/{prefix}", strict=False))] += connections
        ours = {row["source"]: row["connections"] for row in daemon.sources()["sources"]}
        assert not differences(ours, expected, "prefix"), differences(ours, expected, "prefix")


def test_new_sources_use_the_memory_of_the_forgotten():
    def resident_kib(daemon):
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    with Namespace() as namespace, Daemon(namespace, CONFIG.replace("3s", "1s")) as daemon:
        daemon.wait_ready()
        resident = []
        for cycle in range(5):
            who = ["--count", 20_000, "--sources", 20_000, "--source-offset", 20_000 * cycle]
            ct_load(namespace, "create", *who)
            wait_until(lambda: daemon.metrics().sum("conntally_connections") == 20_000, 10, "all are counted")
            ct_load(namespace, "delete", *who)
            wait_until(lambda: daemon.sources()["total"] == 0, 30, "all are forgotten")
            resident.append(resident_kib(daemon))
        print(f"  resident KiB after each 20,000 new sources: {resident}")
        if SLOWNESS == 1:  # sanitizers keep what is freed
            assert resident[-1] <= resident[1] * 1.1 + 2048, resident


main()
