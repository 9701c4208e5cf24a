#!/usr/bin/env python3
"""Forged sources, however many, hide no real one: rows, figures and series go to those that matter."""

import re

from harness import *

# Ordinals of ct_load: source n is 10.0.0.0 + n + 1, far from those of the forged ones.
REAL = 12_000_000
FORGED = ["--protocol", "udp", "--timeout", 600]


def address(ordinal):
    number = (10 << 24) + ordinal + 1
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def real_source(namespace, count=3_000, ordinal=REAL):
    ct_load(namespace, "create", "--sources", 1, "--source-offset", ordinal, "--count", count, "--destination-ports", 400,
            "--protocol", "tcp", "--tcp-state", "syn_sent", "--timeout", 600)
    return address(ordinal)


def row_of(daemon, source):
    rows = daemon.sources(source=source)["sources"]
    return rows[0] if rows else {"connections": 0, "destination_ports": 0}


def seconds_until_named(daemon, source, connections, most=30):
    start = time.monotonic()
    wait_until(lambda: row_of(daemon, source)["connections"] == connections, most, f"{source} is named, whole")
    return time.monotonic() - start


def series_of_sources(daemon):
    return set(daemon.metrics().by_label("conntally_source_connections", "source"))


def check_sum(daemon):
    """The remainder is exact: sources + unattributed = totals, and the kernel's."""
    metrics = daemon.metrics()
    check_invariants(metrics)
    return metrics


def test_a_real_source_is_named_whole_beside_more_forged_ones_than_are_tracked():
    with Namespace() as namespace, Daemon(namespace, "sources: {tracked_max: 20000}\n") as daemon:
        daemon.wait_ready()
        with scraped_all_along(daemon):
            ct_load(namespace, "create", "--sources", 25_000, "--count", 25_000, *FORGED)
            real = real_source(namespace)
            claim("a real source of 3,000 connections is named", seconds_until_named(daemon, real, 3_000), 5)
            row = row_of(daemon, real)
            assert row["destination_ports"] == 400 and row["unreplied"] == 3_000, row
            wait_until(lambda: real in series_of_sources(daemon), 10, "it has series")
            metrics = check_sum(daemon)
            assert metrics.sum("conntally_connections") == 28_000
            assert metrics.value("conntally_unattributed_connections") > 0
            # Forged ones that are gone stand in nobody's way.
            ct_load(namespace, "delete", "--sources", 25_000, "--count", 25_000, *FORGED)
            ct_load(namespace, "create", "--sources", 15_000, "--source-offset", 100_000, "--count", 15_000, *FORGED)
            claim("all others are named once there is room", daemon.wait_equal(20), 5)
            assert daemon.metrics().value("conntally_unattributed_connections") == 0


def test_a_slow_drip_of_forged_sources_leaves_room_for_the_next_real_one():
    # At the defaults 416 packets a second held all rows for their ten minutes of idleness; this is as much of 8,000 rows.
    with Namespace() as namespace, Daemon(namespace, "sources: {tracked_max: 8000}\n") as daemon:
        daemon.wait_ready()
        for burst in range(4):
            forged = ["--sources", 6_000, "--source-offset", burst * 6_000, "--count", 6_000, *FORGED]
            ct_load(namespace, "create", *forged)
            ct_load(namespace, "delete", *forged)
            time.sleep(1)
        few = real_source(namespace, count=2)
        claim("a real source of two connections is named", seconds_until_named(daemon, few, 2), 2)
        claim("a crowd of idle strangers is forgotten", wait_seconds(lambda: daemon.sources()["total"] < 1_000), 10)


def wait_seconds(condition, most=30):
    start = time.monotonic()
    wait_until(condition, most, "it comes true")
    return time.monotonic() - start


def test_rotating_through_ipv6_networks_displaces_no_source_that_holds_much():
    with Namespace() as namespace, Daemon(namespace, "sources: {tracked_max: 4000}\n") as daemon:
        daemon.wait_ready()
        reals = [real_source(namespace, 200, REAL + i) for i in range(20)]
        for reader in range(3):
            ct_load(namespace, "create", "--sources", 5_000, "--source-offset", reader * 5_000, "--ipv6-share", 1, "--count",
                    10_000, *FORGED)
        time.sleep(3)
        late = [real_source(namespace, 200, REAL + 20 + i) for i in range(20)]
        claim("twenty more are named", max(seconds_until_named(daemon, source, 200) for source in late), 5)
        for source in reals + late:
            assert row_of(daemon, source)["connections"] == 200, source
        check_sum(daemon)


def test_forged_sources_that_hold_much_create_few_series():
    with Namespace() as namespace, Daemon(namespace, "sources: {export_new_max_per_hour: 60, export_hold: 2s}\n") as daemon:
        daemon.wait_ready()
        ever = set()
        for wave in range(15):
            forged = ["--sources", 60, "--source-offset", wave * 60, "--count", 60 * 30, *FORGED]
            ct_load(namespace, "create", *forged)
            time.sleep(0.7)
            ever |= series_of_sources(daemon)
            ct_load(namespace, "delete", *forged)
        print(f"  {len(ever)} of 900 forged sources ever had series")
        assert len(ever) <= 33, len(ever)
        # Only who stays for two looks would have had a series.
        ct_load(namespace, "create", "--sources", 60, "--source-offset", 15 * 60, "--count", 60 * 30, *FORGED)
        wait_until(lambda: daemon.metrics().value("conntally_overflow_total", what="export_new") > 0, 10, "who is held back is counted")
        real = real_source(namespace)
        wait_until(lambda: "exported" in row_of(daemon, real), 5, "the API says whether it has series")
        metrics = check_sum(daemon)
        assert metrics.value("conntally_unexported_source_connections_max") <= 3_000


def resident_mib(daemon):
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def test_ten_million_forged_sources_in_full():
    if not FULL:
        print("  only with CONNTALLY_FULL=1")
        return
    with Namespace() as namespace, machine_sysctls(net__netfilter__nf_conntrack_max=262_144), Daemon(namespace) as daemon:
        daemon.wait_ready()
        reals = [real_source(namespace, 2_000, REAL + i) for i in range(5)]
        ever, named = set(), []
        with scraped_all_along(daemon, every=5):
            churn = namespace.spawn(CT_LOAD, "churn", "--sources", 11_000_000, "--live", 220_000, "--rate", 100_000, "--seconds",
                                    200, *FORGED)
            while churn.poll() is None:
                ever |= series_of_sources(daemon)
                late = real_source(namespace, 1_000, REAL + 100 + len(named))
                named.append(seconds_until_named(daemon, late, 1_000))
                print(f"  {resident_mib(daemon):.0f} MiB, named in {named[-1]:.1f} s, {len(ever)} ever had series")
                time.sleep(15)
        claim("exact after", daemon.wait_equal(60), 5)
        for source in reals:
            assert row_of(daemon, source)["connections"] == 2_000
        claim("named at the slowest", max(named), 5)
        peak = daemon.peak_memory_kib() / 1024
        print(f"  peak {peak:.0f} MiB, {resident_mib(daemon):.0f} MiB at the end; {len(ever)} sources ever had series")
        assert peak <= 96 and len(ever) <= 600


main()
