#!/usr/bin/env python3
"""What no event tells, in either direction, the next comparison with the kernel's table repairs and counts."""

from harness import *

RECONCILE_SECONDS = 2
CONFIG = f"conntrack: {{reconcile_interval: {RECONCILE_SECONDS}s}}\n"
KIND = "conntally_reconcile_corrections_total"


def test_entries_that_came_and_went_without_an_event_are_repaired_and_counted():
    with Namespace() as namespace, Daemon(namespace, CONFIG) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--first", 5_000, "--count", 300)
        daemon.wait_equal(5)
        before = daemon.metrics()

        namespace.sysctl("net.netfilter.nf_conntrack_events", 0)
        ct_load(namespace, "create", "--count", 1_000, "--ipv6-share", 0.5)
        claim("missed entries found", daemon.wait_equal(20), RECONCILE_SECONDS + 1)
        ct_load(namespace, "delete", "--count", 1_000, "--ipv6-share", 0.5)
        claim("stale entries swept", daemon.wait_equal(20), RECONCILE_SECONDS + 1)
        namespace.sysctl("net.netfilter.nf_conntrack_events", 1)

        metrics = daemon.metrics()
        assert metrics.value(KIND, kind="missed") - before.value(KIND, kind="missed") == 1_000
        assert metrics.value(KIND, kind="stale") - before.value(KIND, kind="stale") == 1_000
        assert metrics.value("conntally_reconciles_total", reason="interval") >= 2
        assert metrics.sum("conntally_connections_opened_total") == 1_300
        assert metrics.sum("conntally_connections_closed_total") == 1_000
        claim("since the last comparison", abs(time.time() - metrics.value("conntally_last_reconcile_timestamp_seconds")), RECONCILE_SECONDS + 1)


def test_comparing_amid_traffic_corrects_nothing():
    with Namespace() as namespace:
        namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
        with Daemon(namespace, CONFIG.replace("2s", "1s")) as daemon:
            daemon.wait_ready()
            with scraped_all_along(daemon):
                ct_load(namespace, "churn", "--rate", 40_000 / SLOWNESS, "--seconds", 6, "--live", 20_000, "--keep")
                daemon.wait_equal(5)
            metrics = daemon.metrics()
            assert metrics.value("conntally_reconciles_total", reason="interval") >= 3
            assert metrics.value("conntally_netlink_overruns_total") == 0
            # Events are held while a dump runs and applied after it: nothing was missed, nothing is stale.
            assert metrics.value(KIND, kind="missed") == 0, metrics.series(KIND)
            assert metrics.value(KIND, kind="stale") == 0, metrics.series(KIND)


main()
