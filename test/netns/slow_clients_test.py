#!/usr/bin/env python3
"""Slow, half-open and greedy clients never delay a scrape."""

import contextlib
import socket
import threading

from harness import *

CLIENTS_EACH = 100


def idle(namespace, stack):
    """Connect and say nothing."""
    for _ in range(CLIENTS_EACH):
        stack.enter_context(namespace.connect("127.0.0.1", 9105))


def dripping(namespace, stack, stop):
    """Send a header byte by byte, for ever."""
    clients = [stack.enter_context(namespace.connect("127.0.0.1", 9105)) for _ in range(CLIENTS_EACH)]
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 100_000

    def drip():
        for byte in request:
            for client in clients:
                with contextlib.suppress(OSError):  # conntally may well have closed it
                    client.send(bytes([byte]))
            if stop.wait(0.05):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    stack.callback(thread.join)
    stack.callback(stop.set)


def never_reading(namespace, stack):
    """Ask for the largest answer and take none of it."""
    for _ in range(CLIENTS_EACH):
        client = stack.enter_context(namespace.connect("127.0.0.1", 9105))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(b"GET /api/v1/sources?limit=1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_three_hundred_slow_clients_delay_no_scrape():
    with Namespace() as namespace, Daemon(namespace) as daemon, contextlib.ExitStack() as stack:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 50_000, "--sources", 5_000)
        daemon.wait_equal(10)
        idle(namespace, stack)
        dripping(namespace, stack, threading.Event())
        never_reading(namespace, stack)
        durations = []
        for _ in range(100):
            start = time.monotonic()
            assert daemon.metrics().sum("conntally_connections") == 50_000
            durations.append(time.monotonic() - start)
            time.sleep(0.05)
        print(f"  median scrape {sorted(durations)[50] * 1000:.1f} ms")
        claim("slowest scrape", max(durations), 0.1)
        ct_load(namespace, "delete", "--count", 50_000, "--sources", 5_000)
        daemon.wait_equal(10)

        start = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.process.wait(20) == 0
        claim("ended among slow clients", time.monotonic() - start, 2)


main()
