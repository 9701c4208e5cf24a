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


class Attack:
    """Clients that send `request` over and over, read up to `bytes_each` of the answers 20 times a second, and come again when cut."""

    def __init__(self, namespace, clients, request, bytes_each, receive_buffer=0):
        self.namespace, self.request = namespace, request
        self.bytes_each, self.receive_buffer = bytes_each, receive_buffer
        self.clients = [self._connect() for _ in range(clients)]
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        for client, _ in self.clients:
            client.close()

    def _connect(self):
        client = self.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", 9105))
        return client, [self.request]

    def _run(self):
        while not self.stop.wait(0.05):
            for index, (client, unsent) in enumerate(self.clients):
                try:
                    if unsent[0]:
                        unsent[0] = unsent[0][client.send(unsent[0]) :]
                    if not client.recv(self.bytes_each):
                        raise ConnectionResetError
                except BlockingIOError:
                    continue
                except OSError:
                    client.close()
                    self.clients[index] = self._connect()


def memory_kib(daemon):
    for line in pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


ATTACKS = {
    "readers of every source, slow": (300, get("/api/v1/sources?limit=1000000"), 1000, 4096),
    "readers of every source, fast": (16, get("/api/v1/sources?limit=1000000"), 1 << 20, 0),
    "pipelined scrapes, read slowly": (900, get("/metrics") * 100, 4000, 0),
    "different questions about 100,000 sources": (
        50, b"".join(get(f"/api/v1/sources?limit={limit}") for limit in range(1, 40)), 1 << 16, 0),
}


def test_beside_hundreds_of_greedy_clients_every_scrape_is_answered_and_memory_is_given_back():
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 100_000, "--sources", 100_000)
        daemon.wait_equal(10)
        daemon.wait_equal(10)  # the list was made once, whatever it takes to keep it is there
        before = memory_kib(daemon)
        for name, attack in ATTACKS.items():
            durations, most = [], 0
            with Attack(namespace, *attack):
                time.sleep(1)
                for _ in range(15):
                    start = time.monotonic()
                    answer = daemon.get("/metrics", headers={"Accept-Encoding": "gzip"})
                    durations.append(time.monotonic() - start)
                    assert answer.status == 200, answer.status
                    check_invariants(Metrics(answer.text), None)
                    most = max(most, memory_kib(daemon))
                    time.sleep(0.1)
            print(f"  {name}: at most {(most - before) / 1024:.0f} MiB more")
            claim("slowest scrape beside them", max(durations), 0.3)
            assert most < before + 192 * 1024 * SLOWNESS, f"{name}: {before} to {most} KiB"
            wait_until(lambda: memory_kib(daemon) < before + 32 * 1024 * SLOWNESS, 15, f"memory given back after {name}")


main()
