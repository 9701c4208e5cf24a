#!/usr/bin/env python3
"""Under nf_conntrack_events=2 entries older than the daemon never send DESTROY; they must leave all the same."""

from harness import *

RECONCILE_SECONDS = 4
LIFE_SECONDS = int(10 + 5 * SLOWNESS)  # until all have been compared with the kernel's
CONFIG = f"conntrack: {{reconcile_interval: {RECONCILE_SECONDS}s}}\n"
PLAN = ["--count", 100_000, "--sources", 1000, "--ipv6-share", 0.3, "--protocol", "mixed"]


def test_entries_made_before_the_daemon_are_counted_and_leave_when_they_expire():
    with Namespace() as namespace:
        namespace.sysctl("net.netfilter.nf_conntrack_events", 2)
        ct_load(namespace, "create", *PLAN, "--timeout", LIFE_SECONDS)
        expired_at = time.monotonic() + LIFE_SECONDS
        with Daemon(namespace, CONFIG) as daemon:
            print(f"  ready after {daemon.wait_ready():.3f} s")
            # No waiting: what is served once ready is whole.
            assert daemon.metrics().sum("conntally_connections") == 100_000
            found = daemon.differences()
            assert not found, found
            assert "nf_conntrack_events" in daemon.log, "the log doesn't say that older entries send no DESTROY"

            time.sleep(max(0.0, expired_at - time.monotonic()))
            wait_until(lambda: daemon.metrics().sum("conntally_connections") == 0, 90, "the expired are gone")
            claim("none left after expiry", time.monotonic() - expired_at, 2 * RECONCILE_SECONDS)
            metrics = daemon.metrics()
            stale = metrics.value("conntally_reconcile_corrections_total", kind="stale")
            destroyed = metrics.value("conntally_events_total", event="destroy")
            # A listener of somebody else's on this machine makes the kernel send these DESTROYs after all.
            print(f"  {stale:.0f} swept, {destroyed:.0f} told by DESTROY")
            assert stale + destroyed >= 100_000
            assert metrics.value("conntally_sources") == 0


def test_entries_on_both_sides_of_the_start_are_told_apart():
    with Namespace() as namespace:
        namespace.sysctl("net.netfilter.nf_conntrack_events", 2)
        ct_load(namespace, "create", "--count", 1_000)
        with Daemon(namespace, CONFIG) as daemon:
            daemon.wait_ready()
            ct_load(namespace, "create", "--first", 1_000, "--count", 500)
            daemon.wait_equal(5)
            ct_load(namespace, "delete", "--count", 1_500)
            claim("back to zero", daemon.wait_equal(20), 2 * RECONCILE_SECONDS)


main()
