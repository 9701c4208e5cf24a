#!/usr/bin/env python3
"""A source near a limit that a rule puts upon it shows so, counted as the kernel counts."""

import contextlib
import struct

from dropped_traffic import HOST, HOST6, IP_FREEBIND, IPV6_FREEBIND, client_and_host
from firewall import *
from harness import *

PORTS = (80, 443)


@contextlib.contextmanager
def listeners(host):
    """Whatever connects to one of PORTS is taken; nothing is said."""
    with contextlib.ExitStack() as stack:
        for family, address in ((socket.AF_INET, HOST), (socket.AF_INET6, HOST6)):
            for port in PORTS:
                listener = stack.enter_context(host.socket(family, socket.SOCK_STREAM))
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
                listener.listen(200)
        yield


class Client:
    """Connections of sources, as long as the `with` lasts."""

    def __init__(self, namespace):
        self.namespace, self.sockets = namespace, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for opened in self.sockets:
            opened.close()

    def connect(self, source, port, count, kind=socket.SOCK_STREAM):
        """How many of `count` were let in."""
        family, freebind, host = (
            (socket.AF_INET6, IPV6_FREEBIND, HOST6) if ":" in source else (socket.AF_INET, IP_FREEBIND, HOST)
        )
        connected = 0
        for _ in range(count):
            opened = self.namespace.socket(family, kind)
            opened.setsockopt(*freebind, 1)
            opened.settimeout(0.25 * SLOWNESS)
            opened.bind((source, 0))
            try:
                opened.connect((host, port))
                if kind == socket.SOCK_DGRAM:
                    opened.send(b"x")
                connected += 1
                self.sockets.append(opened)
            except OSError:
                opened.close()
        return connected

    def reset(self, count):
        """They stay in the table for 10 seconds, as CLOSE."""
        for opened in self.sockets[:count]:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            opened.close()
        del self.sockets[:count]


def limits_of(daemon, source):
    """{(origin, limit): (counted, approximate)}"""
    rows = [row for row in daemon.sources(source=source)["sources"] if row["source"] == source]
    return {(limit["origin"], limit["connections"]): (limit["counted"], limit["approximate"]) for row in rows for limit in row["limits"]}


def wait_for_limits(daemon, source, expected, seconds=15):
    wait_until(lambda: limits_of(daemon, source) == expected, seconds, lambda: f"{source}: {expected}, but found {limits_of(daemon, source)}")


def wait_for_connections(daemon, source, count):
    wait_until(lambda: daemon.sources(source=source)["sources"][0]["connections"] == count, 5, f"{count} connections of {source}")


def check_metrics(daemon, source, origin, limit, counted):
    metrics = daemon.metrics()
    assert metrics.value("conntally_source_connections_limit", source=source, origin=origin) == limit
    assert metrics.value("conntally_source_limited_connections", source=source, origin=origin) == counted


def check_nine_of_ten(narrowed_source, load_rules, origin):
    """`load_rules` limits each source to 10 connections over TCP to port 443."""
    with client_and_host() as (client, host), listeners(host), Client(client) as traffic, Daemon(host, QUICK) as daemon:
        load_rules(host)
        daemon.wait_ready()
        assert traffic.connect(narrowed_source, 443, 9) == 9
        assert traffic.connect(narrowed_source, 80, 30) == 30
        wait_for_limits(daemon, narrowed_source, {(origin, 10): (9, False)})
        check_metrics(daemon, narrowed_source, origin, 10, 9)
        wait_for_connections(daemon, narrowed_source, 39)
        # The kernel says the same: one more is let in, and a second one is not.
        assert traffic.connect(narrowed_source, 443, 2) == 1
        wait_for_limits(daemon, narrowed_source, {(origin, 10): (10, False)})
        # What is closed is in the table, but in no limit.
        traffic.reset(4)
        wait_for_limits(daemon, narrowed_source, {(origin, 10): (6, False)})
        wait_for_connections(daemon, narrowed_source, 40)
        assert traffic.connect(narrowed_source, 443, 6) == 4
        wait_for_limits(daemon, narrowed_source, {(origin, 10): (10, False)})


def check_all_of_a_source(source, load_rules, origin):
    with client_and_host() as (client, host), listeners(host), Client(client) as traffic, Daemon(host, QUICK) as daemon:
        load_rules(host)
        daemon.wait_ready()
        assert traffic.connect(source, 80, 5) + traffic.connect(source, 443, 4) == 9
        wait_for_limits(daemon, source, {(origin, 10): (9, False)})
        check_metrics(daemon, source, origin, 10, 9)
        assert traffic.connect(source, 443, 3) == 1
        wait_for_limits(daemon, source, {(origin, 10): (10, False)})


NATIVE = """
table inet t {
    set those { type ipv4_addr; flags dynamic; }
    set those6 { type ipv6_addr; flags dynamic; }
    chain input {
        type filter hook input priority 0
        iif lo accept
        ct state vmap { established : accept, related : accept, invalid : drop }
        tcp dport 22 accept
        %s
    }
}
"""


def test_nftables():
    check_nine_of_ten("10.0.0.2", lambda host: host.nft(
        NATIVE % "tcp dport 443 ct state new add @those { ip saddr ct count over 10 } reject with tcp reset"), "nft")
    check_nine_of_ten("2001:db8::2", lambda host: host.nft(
        NATIVE % "tcp dport { 443, 444 } add @those6 { ip6 saddr ct count over 10 } drop"), "nft")
    check_all_of_a_source("10.0.0.1", lambda host: host.nft(NATIVE % "ct state new add @those { ip saddr ct count over 10 } drop"), "nft")


def test_an_nft_meter():
    check_nine_of_ten("10.0.0.2", lambda host: host.nft(
        NATIVE % "tcp dport 443 meter m { ip saddr ct count over 10 } drop"), "nft")


BEFORE = ("-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
          "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n")


def check_iptables(tool, address):
    def load(rules):
        return lambda host: host.run(f"{tool}-restore", input=f"*filter\n:limited - [0:0]\n{BEFORE}{rules}\nCOMMIT\n")

    check_nine_of_ten(address(2), load("-A INPUT -p tcp --syn --dport 443 -m connlimit --connlimit-above 10 -j REJECT"), "connlimit")
    check_nine_of_ten(address(2), load(
        "-A INPUT -p tcp -m multiport --dports 443,444 -j limited\n-A limited -m connlimit --connlimit-upto 10 -j ACCEPT\n"
        "-A limited -j DROP"), "connlimit")
    check_all_of_a_source(address(1), load("-A INPUT -m connlimit --connlimit-above 10 -j DROP"), "connlimit")


def test_iptables_over_nftables():
    check_iptables("iptables-nft", lambda host: f"10.0.0.{host}")


def test_iptables_legacy():
    check_iptables("iptables-legacy", lambda host: f"10.0.0.{host}")


def test_ip6tables():
    check_iptables("ip6tables-legacy", lambda host: f"2001:db8::{host}")


def test_a_limit_that_counts_by_prefix_and_one_of_some_sources_and_one_that_cannot_be_decided():
    with client_and_host() as (client, host), listeners(host), Client(client) as traffic, Daemon(host, QUICK) as daemon:
        host.run("iptables-legacy-restore", input="*filter\n"
                 "-A INPUT -s 10.0.5.9 -j ACCEPT\n"
                 "-A INPUT -s 10.0.5.0/24 -p tcp -m connlimit --connlimit-above 20 --connlimit-mask 24 -j DROP\n"
                 "-A INPUT -i to-client -p tcp --dport 80 -m connlimit --connlimit-above 30 -j DROP\n"
                 "-A INPUT -p tcp -m connlimit --connlimit-above 7 --connlimit-daddr -j LOG\nCOMMIT\n")
        daemon.wait_ready()
        for last, count in ((1, 6), (2, 5)):
            assert traffic.connect(f"10.0.5.{last}", 443, count) == count
        assert traffic.connect("10.0.5.9", 443, 3) == 3
        assert traffic.connect("10.0.6.1", 80, 4) == 4
        assert traffic.connect("10.0.6.1", 443, 2) == 2
        wait_for_limits(daemon, "10.0.5.1", {("connlimit", 20): (11, False), ("connlimit", 30): (0, True)})
        wait_for_limits(daemon, "10.0.5.2", {("connlimit", 20): (11, False), ("connlimit", 30): (0, True)})
        wait_for_limits(daemon, "10.0.5.9", {})  # it is let in before it comes to any
        wait_for_limits(daemon, "10.0.6.1", {("connlimit", 30): (4, True)})
        check_metrics(daemon, "10.0.5.1", "connlimit", 20, 11)


def test_a_limit_that_goes_is_gone():
    with client_and_host() as (client, host), listeners(host), Client(client) as traffic, Daemon(host, QUICK + "limits: [{source: 10.0.0.0/8, connections: 50}]\n") as daemon:
        host.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "-m", "connlimit", "--connlimit-above", "10", "-j", "DROP")
        daemon.wait_ready()
        assert traffic.connect("10.0.0.1", 80, 3) == 3
        wait_for_limits(daemon, "10.0.0.1", {("connlimit", 10): (3, False), ("config", 50): (3, False)})
        host.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "-m", "connlimit", "--connlimit-above", "12", "-j", "DROP")
        wait_for_limits(daemon, "10.0.0.1", {("connlimit", 10): (3, False), ("connlimit", 12): (3, False), ("config", 50): (3, False)})
        host.run("iptables-legacy", "-F", "INPUT")
        wait_for_limits(daemon, "10.0.0.1", {("config", 50): (3, False)})


main()
