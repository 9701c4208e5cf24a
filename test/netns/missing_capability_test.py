#!/usr/bin/env python3
"""What the daemon may not do it says, with the remedy, and stays up; CAP_NET_ADMIN alone is enough."""

from harness import *
from nobodys_daemon import NET_ADMIN, NOTHING, NobodysDaemon


def test_without_any_capability_it_stays_up_and_says_what_is_missing():
    with Namespace() as namespace, NobodysDaemon(namespace, NOTHING) as daemon:
        daemon.wait_listening()
        daemon.wait_for_log("CAP_NET_ADMIN")
        assert daemon.status_of("/healthz") == 200
        assert daemon.status_of("/readyz") == 503
        metrics = daemon.metrics()
        assert metrics.value("conntally_collector_success", collector="conntrack") == 0
        assert metrics.value("conntally_synced") == 0
        assert metrics.value("conntally_up") == 1
        check_invariants(metrics)
        time.sleep(2)
        assert daemon.status_of("/healthz") == 200, "it didn't stay up"


def test_as_nobody_with_net_admin_alone_it_counts():
    with Namespace() as namespace, NobodysDaemon(namespace, NET_ADMIN) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 2_000, "--ipv6-share", 0.5)
        daemon.wait_equal(5)
        metrics = daemon.metrics()
        assert metrics.value("conntally_collector_success", collector="conntrack") == 1
        assert metrics.value("conntally_table_entries") == 2_000


main()
