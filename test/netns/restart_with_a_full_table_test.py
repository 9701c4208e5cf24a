#!/usr/bin/env python3
"""Killed and started again over a big table: whole at once."""

import contextlib

from harness import *

ENTRIES = 1_000_000 if FULL else 200_000
PLAN = ["--count", ENTRIES, "--sources", 20_000, "--ipv6-share", 0.3, "--protocol", "mixed", "--zones", "0,5",
        "--timeout", 3600]


def room():
    """The harness sees to what the smaller size needs."""
    if not FULL:
        return contextlib.nullcontext()
    return machine_sysctls(net__netfilter__nf_conntrack_max=ENTRIES + 200_000)


def check_start(daemon, what):
    claim(f"{what}: ready with {ENTRIES} entries", daemon.wait_ready(60), 5)
    total = daemon.metrics().sum("conntally_connections")
    assert total == ENTRIES, f"ready, but with {total:.0f} of {ENTRIES}"
    print(f"  peak memory {daemon.peak_memory_kib() / 1024:.1f} MiB")


def test_kill_and_restart_over_a_big_table():
    with room(), Namespace() as namespace:
        ct_load(namespace, "create", *PLAN)
        with Daemon(namespace) as daemon:
            check_start(daemon, "first start")
            daemon.kill()
            daemon.start()
            check_start(daemon, "restart")
            found = daemon.differences()
            assert not found, found
            print(f"  peak memory after listing every source {daemon.peak_memory_kib() / 1024:.1f} MiB")


main()
