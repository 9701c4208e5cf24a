#!/usr/bin/env python3
"""Destinations are the kernel's own, with and without translation, and with the remainder they are all there is."""

import collections
import ipaddress
import urllib.parse

from harness import *
from kernel_table import PROTOCOLS
from traffic import ECHO_PORT, SERVER, SERVER6, Network

# The addresses that clients ask for, and behind each the server.
DNAT = f"""
table inet conntally_test_dnat {{
  chain prerouting {{
    type nat hook prerouting priority -100;
    ip daddr 203.0.113.1-203.0.113.9 tcp dport 80 dnat ip to {SERVER}:{ECHO_PORT}
    ip daddr 203.0.113.1-203.0.113.9 udp dport 53 dnat ip to {SERVER}:{ECHO_PORT}
    ip6 daddr 2001:db8:3::1 tcp dport 80 dnat ip6 to [{SERVER6}]:{ECHO_PORT}
  }}
}}
"""


def kernels(namespace):
    """{(destination, port, protocol): [connections, unreplied, {source: connections}]}, as they were addressed."""
    table = collections.defaultdict(lambda: [0, 0, collections.Counter()])
    for family in ("ipv4", "ipv6"):
        for line in namespace.run("conntrack", "-L", "-f", family, timeout=300).stdout.splitlines():
            words = line.split()
            original = collections.ChainMap()
            for word in words:  # the first of each is the original direction's
                name, equals, value = word.partition("=")
                if equals and name not in original:
                    original[name] = value
            number = int(words[1])
            destination = str(ipaddress.ip_address(original["dst"]))
            entry = table[destination, int(original.get("dport", 0)), PROTOCOLS.get(number, str(number))]
            entry[0] += 1
            entry[1] += "[UNREPLIED]" in line
            entry[2][str(ipaddress.ip_address(original["src"]))] += 1
    return table


def ask(daemon, **query):
    answer = daemon.get("/api/v1/destinations?" + urllib.parse.urlencode(query), timeout=60.0)
    assert answer.status == 200, answer.text
    return answer.json()


def key_of(row):
    return row["destination"], row["port"], row["protocol"]


def faults(daemon):
    """Where conntally's destinations and the kernel's are not the same."""
    kernel = kernels(daemon.namespace)
    answer = ask(daemon, limit=1_000_000)
    rows = {key_of(row): row for row in answer["destinations"]}
    assert len(rows) == len(answer["destinations"]) == answer["total"], "a destination is listed twice"
    found = []
    for key in {*kernel, *rows}:
        connections, unreplied, sources = kernel.get(key, (0, 0, {}))
        row = rows.get(key, {"connections": 0, "unreplied": 0, "sources": []})
        if (row["connections"], row["unreplied"]) != (connections, unreplied):
            found.append(f"{key}: {row['connections']}, {row['unreplied']} unreplied; kernel {connections}, {unreplied}")
        most = [one["connections"] for one in row["sources"]]
        if most != sorted(sources.values(), reverse=True)[:5]:
            found.append(f"{key}: sources {row['sources']}, kernel {sorted(sources.values(), reverse=True)[:5]}")
        found += [f"{key}: {one}, kernel {sources.get(one['source'])}" for one in row["sources"]
                  if sources.get(one["source"]) != one["connections"]]
    metrics = daemon.metrics()
    exported = {}
    for name, at in (("connections", 0), ("unreplied_connections", 1)):
        for labels, value in metrics.series(f"conntally_destination_{name}").items():
            labels = dict(labels)
            key = labels["destination"], int(labels.get("port", 0)), labels["protocol"]
            exported.setdefault(key, value)
            if value != kernel.get(key, (0, 0))[at]:
                found.append(f"{name} of {key}: {value}, kernel {kernel.get(key, (0, 0))[at]}")
    first = sorted((entry[0] for entry in kernel.values()), reverse=True)[:20]
    if sorted(exported.values(), reverse=True)[:len(first)] != first:
        found.append(f"exported {sorted(exported.values(), reverse=True)[:5]}, the first are {first[:5]}")
    return found


def wait_equal(daemon, seconds):
    start = time.monotonic()
    while found := faults(daemon):
        if time.monotonic() - start > seconds * SLOWNESS:
            raise AssertionError(f"not equal after {seconds * SLOWNESS} s:\n  " + "\n  ".join(found[:8]))
        time.sleep(0.2)
    return time.monotonic() - start


def test_destinations_equal_the_kernels_and_follow_it():
    bulk = ["--count", 6_000, "--sources", 150, "--ipv6-share", 0.3, "--protocol", "mixed", "--zones", "0,5",
            "--replied-every", 3, "--destination-ports", 37]
    with Namespace() as namespace, Daemon(namespace, "conntrack: {reconcile_interval: 2s}\n") as daemon:
        daemon.wait_ready()
        with scraped_all_along(daemon):
            ct_load(namespace, "create", *bulk, "--rate", 6_000)
            claim("equal after the last connection", wait_equal(daemon, 20), 4)
            ports = {row["port"] for row in ask(daemon, limit=1000)["destinations"] if "icmp" in row["protocol"]}
            assert ports == {0}, ports
            check_questions(daemon)
            ct_load(namespace, "delete", *bulk)
            namespace.run("conntrack", "-F")
            claim("back to none", wait_equal(daemon, 20), 4)
            assert ask(daemon)["destinations"] == []


def check_questions(daemon):
    rows = ask(daemon, limit=1_000_000)["destinations"]
    assert [row["connections"] for row in rows] == sorted((row["connections"] for row in rows), reverse=True)
    by_unreplied = ask(daemon, sort="unreplied", limit=5)["destinations"]
    assert [row["unreplied"] for row in by_unreplied] == sorted((row["unreplied"] for row in rows), reverse=True)[:5]
    rates = [row["new_rate"] for row in ask(daemon, sort="new_rate", limit=1000)["destinations"]]
    assert rates == sorted(rates, reverse=True)
    within = ask(daemon, destination="2001:db8:ffff::/48", limit=1000)
    assert within["total"] == len(within["destinations"]) == sum(":" in row["destination"] for row in rows) > 0
    for wrong in ("sort=drops", "limit=0", "limit=1&limit=2", "destination=198.18.0.1/24", "source=10.0.0.1"):
        answer = daemon.get("/api/v1/destinations?" + wrong)
        assert answer.status == 400 and answer.json()["error"], wrong


def test_a_translated_destination_is_the_one_that_was_asked_for():
    with Network() as network, Daemon(network.gateway) as daemon:
        network.gateway.nft(DNAT)
        daemon.wait_ready()
        held = []
        for host in range(1, 10):
            for source in range(1, host + 1):
                held.append(network.tcp(f"10.0.0.{source}", port=80, server=f"203.0.113.{host}"))
                network.udp(f"10.1.0.{source}", port=53, server=f"203.0.113.{host}")
        held.append(network.tcp("2001:db8::7", port=80, server="2001:db8:3::1"))
        held += [network.tcp(f"10.0.0.{source}") for source in range(1, 8)]
        claim("equal", wait_equal(daemon, 20), 4)
        rows = {key_of(row): row for row in ask(daemon, limit=1000)["destinations"]}
        assert rows["203.0.113.9", 80, "tcp"]["connections"] == 9
        assert rows["203.0.113.9", 53, "udp"]["connections"] == 9
        assert rows["2001:db8:3::1", 80, "tcp"]["connections"] == 1
        assert rows[SERVER, ECHO_PORT, "tcp"]["connections"] == 7  # those that asked for it itself
        wait_until(lambda: translated(daemon).get(("203.0.113.9", 80, "tcp")) == [{"destination": SERVER, "port": ECHO_PORT, "connections": 9}], 10,
                   "where they go is told as well")
        assert (SERVER, ECHO_PORT, "tcp") not in translated(daemon)
        metrics = daemon.metrics()
        assert metrics.value("conntally_destination_connections", destination="203.0.113.9", port="80", protocol="tcp") == 9
        for connection in held:
            connection.close()


def translated(daemon):
    return {key_of(row): row["translated"] for row in ask(daemon, limit=1000)["destinations"] if "translated" in row}


def test_many_connections_to_thousands_of_destinations():
    count, destinations = (200_000, 5_000) if FULL else (10_000, 1_000)
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        bulk = ["--count", count, "--sources", count // destinations, "--destination-ports", destinations, "--timeout", 3600]
        ct_load(namespace, "create", *bulk)
        took = wait_equal(daemon, 60)
        claim(f"{count} connections to {destinations} destinations equal", took, 10)
        assert len(ask(daemon, limit=1_000_000)["destinations"]) == destinations


main()
