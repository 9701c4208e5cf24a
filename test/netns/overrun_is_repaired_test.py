#!/usr/bin/env python3
"""More events than the receive buffer holds: counted exactly, and repaired at once."""

from harness import *

BYTES_PER_EVENT = 1_280  # of receive buffer, by measurement
PLAN = ["--sources", 1000, "--ipv6-share", 0.3, "--protocol", "mixed", "--zones", "0,5"]
BASE = 1 << 32  # connections that live throughout are numbered from here


def events(metrics):
    return metrics.sum("conntally_events_total") + metrics.value("conntally_netlink_overruns_total")


def caught_up(daemon, namespace):
    metrics = daemon.metrics()
    return metrics.value("conntally_synced") == 1 and metrics.sum("conntally_connections") == count(namespace)


def overflow(namespace, at_least, first=0):
    """Makes at least so many events; returns how many, and where the next may start."""
    made = 0
    while made < at_least:
        done = ct_load(namespace, "churn", *PLAN, "--seconds", 0.5, "--rate", 0, "--live", 20_000, "--first", first)
        made += done["new"] + done["destroy"]
        first += done["new"]
    return made, first


def test_a_tenfold_overrun_is_counted_exactly_and_equal_again_within_two_seconds():
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        sent = ct_load(namespace, "create", *PLAN, "--first", BASE, "--count", 30_000)["new"]
        daemon.wait_equal(10)
        assert events(daemon.metrics()) == sent
        capacity = int(daemon.metrics().value("conntally_netlink_receive_buffer_bytes") / BYTES_PER_EVENT)

        daemon.signal(signal.SIGSTOP)
        made, first = overflow(namespace, 10 * capacity)
        sent += made
        sent += ct_load(namespace, "create", *PLAN, "--first", first, "--count", 10_000)["new"]
        daemon.signal(signal.SIGCONT)
        sent += ct_load(namespace, "delete", *PLAN, "--first", BASE, "--count", 7_000)["destroy"]
        print(f"  {sent} events through a buffer for {capacity}")

        seconds = wait_until(lambda: caught_up(daemon, namespace), 30, "equal again")
        claim("equal again after the last event", seconds, 2)
        daemon.wait_for_log("events lost")
        daemon.wait_for_log("the tallies match the kernel's table again")
        found = daemon.differences()
        assert not found, found
        metrics = daemon.metrics()
        lost = metrics.value("conntally_netlink_events_lost_total")
        assert metrics.value("conntally_netlink_overruns_total") == lost
        print(f"  {lost:.0f} lost, {metrics.sum('conntally_events_total'):.0f} received")
        assert lost > 0, "no overrun was provoked"
        assert events(metrics) == sent, f"received + lost {events(metrics):.0f}, sent {sent}"
        assert metrics.value("conntally_reconciles_total", reason="overrun") >= 1
        assert metrics.value("conntally_reconcile_corrections_total", kind="missed") >= 1
        check_invariants(metrics)


def test_an_overrun_amid_traffic_is_repaired_while_the_traffic_goes_on():
    with Namespace() as namespace, Daemon(namespace, "conntrack: {receive_buffer_bytes: 1048576}\n") as daemon:
        daemon.wait_ready()
        with scraped_all_along(daemon):
            sent, first = overflow(namespace, 1)
        # A stopped daemon answers no scrape.
        daemon.signal(signal.SIGSTOP)
        made, first = overflow(namespace, 100_000, first)
        sent += made
        daemon.signal(signal.SIGCONT)
        with scraped_all_along(daemon):
            done = ct_load(namespace, "churn", *PLAN, "--rate", 20_000, "--seconds", 4, "--live", 5_000, "--first",
                           first, "--keep")
            sent += done["new"] + done["destroy"]
            claim("equal again", wait_until(lambda: caught_up(daemon, namespace), 30, "equal again"), 2)
        found = daemon.differences()
        assert not found, found
        metrics = daemon.metrics()
        assert events(metrics) == sent, f"received + lost {events(metrics):.0f}, sent {sent}"


main()
