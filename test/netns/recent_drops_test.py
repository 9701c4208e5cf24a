#!/usr/bin/env python3
"""What was dropped of late is told tuple by tuple: whose, for whom, where, by which rule, and when."""

import collections
import contextlib
import datetime
import socket
import struct
import urllib.parse

from dropped_traffic import HOST, HOST6, client_and_host, send
from firewall import wait_for_polls
from harness import *
from traffic import SERVER, SERVER6, Network

CONFIG = "rules: {poll_interval: 500ms}\ndrops: {kernel_log: false%s}\n"


def recent(daemon, **query):
    query.setdefault("limit", 1_000_000)
    answer = daemon.get("/api/v1/drops?" + urllib.parse.urlencode(query))
    assert answer.status == 200, answer.text
    return answer.json()["drops"]


def by_tuple(daemon, **query):
    """{(source, destination, port): packets}"""
    sums = collections.Counter()
    for row in recent(daemon, **query):
        sums[row["source"], row["destination"], row["port"]] += row["packets"]
    return dict(sums)


def wait_for(daemon, expected, seconds=10, **query):
    found = {}

    def equal():
        nonlocal found
        found = by_tuple(daemon, **query)
        return found == expected

    with contextlib.suppress(AssertionError):
        wait_until(equal, seconds, "the drops of late")
    assert found == expected, f"only here: {expected.items() - found.items()}, only found: {found.items() - expected.items()}"


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def rows_when_named(daemon, count, packets):
    """The rows, once all packets are told and each row has its rule: packets of one row may be read at two times."""
    rows = []

    def named():
        nonlocal rows
        rows = recent(daemon)
        return len(rows) == count and sum(row["packets"] for row in rows) == packets and all(row["rule"] for row in rows)

    with contextlib.suppress(AssertionError):
        wait_until(named, 15, "rules")
    return rows


def route_everything(client, host):
    """To whatever destination: it comes to the host, which would forward it."""
    host.ip("route", "add", "198.51.100.0/24", "dev", "to-client")
    host.sysctl("net.ipv4.ip_forward", 1)
    client.ip("route", "add", "198.51.100.0/24", "via", HOST)


RULES = """
    table inet t {
        chain early { type filter hook prerouting priority -300; udp dport 7105 counter drop; }
        chain input {
            type filter hook input priority 0
            udp dport 7101 counter drop
            udp dport 7102 counter reject
            icmp type echo-request counter drop
        }
        chain forward { type filter hook forward priority 0; udp dport 7103 counter drop; }
        chain output { type filter hook output priority 0; udp dport 7104 counter drop; }
    }
"""


def test_a_row_tells_all_of_a_drop():
    with client_and_host() as (client, host), Daemon(host, CONFIG % "") as daemon:
        host.nft(RULES)
        route_everything(client, host)
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        wait_for_polls(daemon)
        began = time.time()
        send(client, "10.0.0.1", 3, 7101)
        send(client, "2001:db8::1", 4, 7102)
        send(client, "10.0.0.2", 5, 7103, "198.51.100.9")
        send(host, HOST, 6, 7104, "192.0.2.2")
        send(client, "10.0.0.1", 7, 7105)
        client.run("ping", "-c", 2, "-i", 0.2, "-W", 0.1, HOST, check=False)
        rows = rows_when_named(daemon, 6, 27)
        ended = time.time()
        for row in rows:
            assert began - 2 <= moment(row["first"]) <= moment(row["last"]) <= ended + 1, row
            assert row["via"] == "ebpf"
        told = {(row["source"], row["destination"], row["port"], row["protocol"], row["interface"], row["hook"], row["packets"]) for row in rows}
        assert told == {
            ("10.0.0.1", HOST, 7101, "udp", "to-client", "input", 3),
            ("2001:db8::1", HOST6, 7102, "udp", "to-client", "input", 4),
            ("10.0.0.2", "198.51.100.9", 7103, "udp", "to-client", "forward", 5),
            (HOST, "192.0.2.2", 7104, "udp", "to-client", "output", 6),
            ("10.0.0.1", HOST, 7105, "udp", "to-client", "prerouting", 7),
            ("192.0.2.2", HOST, None, "icmp", "to-client", "input", 2),
        }, told
        assert [row["icmp_type"] for row in rows if row["protocol"] == "icmp"] == [8]
        assert {row["rule"] for row in rows if row["port"] == 7103} == {"udp dport 7103 counter drop"}
        check_queries(daemon)


def check_queries(daemon):
    assert by_tuple(daemon, source="10.0.0.1") == {("10.0.0.1", HOST, 7101): 3, ("10.0.0.1", HOST, 7105): 7}
    assert by_tuple(daemon, source="10.0.0.0/31") == by_tuple(daemon, source="10.0.0.1")
    assert set(by_tuple(daemon, destination="198.51.100.0/24")) == {("10.0.0.2", "198.51.100.9", 7103)}
    assert set(by_tuple(daemon, rule="udp dport 7101 counter drop")) == {("10.0.0.1", HOST, 7101)}
    assert set(by_tuple(daemon, source="2001:db8::/64")) == {("2001:db8::1", HOST6, 7102)}
    assert recent(daemon, rule="udp dport 7101") == []
    newest = [moment(row["last"]) for row in recent(daemon)]
    assert newest == sorted(newest, reverse=True)
    assert len(recent(daemon, limit=2)) == 2
    assert len(recent(daemon, since="10m")) == 6
    time.sleep(2.1)
    assert recent(daemon, since="1s") == []
    for query in ("since=11m", "since=0s", "since=x", "source=10.0.0.1/24", "destination=host", "limit=0", "limit=1000001", "limit=1&limit=2", "port=80"):
        answer = daemon.get(f"/api/v1/drops?{query}")
        assert answer.status == 400 and answer.json()["error"], query


def test_a_thousand_sources_dropped_on_their_way_to_fifty_destinations_are_exact():
    sources, destinations, rules = 1_000, 50, 20
    per_destination = 4_000 if not FULL else 20_000
    with client_and_host() as (client, host), Daemon(host, CONFIG % "") as daemon:
        route_everything(client, host)
        drops = "".join(f"udp dport {port} counter drop; " for port in range(4000, 4000 + rules))
        host.nft(f"table inet t {{ chain forward {{ type filter hook forward priority 0; {drops} drop; }}; }}\n")
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        before = daemon.metrics()
        start = time.monotonic()
        for i in range(destinations):
            # Some 280 pairs of a source and a port for each destination, so that all tuples have room: 14,000.
            ct_load(client, "udp", "--sources", 280, "--source-offset", i * 14, "--destination-ports", 1, "--first", i, "--count", 280,
                    "--packets-each", per_destination // 280, "--destination", f"198.51.100.{i + 1}")
        seconds = time.monotonic() - start
        sent = destinations * 280 * (per_destination // 280)
        print(f"  {sent} packets to {destinations} destinations, {sent / seconds:.0f} a second")
        wait_until(lambda: sum(by_tuple(daemon).values()) == sent, 20, "all are told")
        found = by_tuple(daemon)
        assert len(found) == destinations * 280, len(found)
        assert set(found.values()) == {per_destination // 280}, collections.Counter(found.values())
        assert len({source for source, _, _ in found}) > 900
        metrics = daemon.metrics()
        assert metrics.sum("conntally_overflow_total") == before.sum("conntally_overflow_total")
        assert sources >= len({source for source, _, _ in found})


def test_who_scans_pushes_out_nobody_who_is_dropped_more_often():
    with client_and_host() as (client, host), Daemon(host, CONFIG % "") as daemon:
        route_everything(client, host)
        host.nft("table inet t { chain forward { type filter hook forward priority 0; meta l4proto udp counter drop; }; }\n")
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        wait_for_polls(daemon)
        send(client, "10.200.0.1", 9, 53, "198.51.100.9")
        send(client, "10.200.0.2", 2, 123, "198.51.100.10")
        expected = {("10.200.0.1", "198.51.100.9", 53): 9, ("10.200.0.2", "198.51.100.10", 123): 2}
        wait_for(daemon, expected)
        # A scan of one source, then forged sources: 100,000 tuples of one packet each.
        ct_load(client, "udp", "--sources", 1, "--destination-ports", 50_000, "--count", 50_000, "--destination", "198.51.100.20")
        ct_load(client, "udp", "--sources", 50_000, "--source-offset", 10, "--destination-ports", 1, "--count", 50_000, "--destination", "198.51.100.20")

        def told():
            return sum(by_tuple(daemon).values()) + daemon.metrics().value("conntally_overflow_total", what="drops_recent")

        wait_until(lambda: told() == 100_011, 20, "each packet is told, or counted as turned away")
        # Those that wait for their rule come on top.
        wait_until(lambda: len(by_tuple(daemon)) <= 16_384, 15, "there are as many rows as there may be")
        found = by_tuple(daemon)
        for row, packets in expected.items():
            assert found.get(row) == packets, row
        # By source and by rule nothing is lost.
        metrics = daemon.metrics()
        wait_until(lambda: daemon.metrics().value("conntally_dropped_packets_total", via="ebpf") == 100_011, 15, "all are counted")
        scanner = daemon.sources(source="10.0.0.1")["sources"][0]["drops"]
        assert sum(share["packets"] for share in scanner) == 50_000, scanner
        assert metrics.value("conntally_overflow_total", what="drops_ebpf") == 0


def test_nflog_tells_destinations_where_ebpf_is_off():
    with client_and_host() as (client, host), Daemon(host, CONFIG % ", ebpf: off, nflog_groups: [5]") as daemon:
        host.nft('table inet t { chain i { type filter hook input priority 0; meta l4proto { udp, icmp } log prefix "no " group 5 drop; }; }\n')
        daemon.wait_for_log("NFLOG group 5")
        daemon.wait_ready()
        wait_for_polls(daemon)
        send(client, "10.0.0.1", 3, 7101)
        send(client, "2001:db8::1", 4, 7102)
        client.run("ping", "-c", 1, "-W", 0.1, HOST, check=False)
        wait_for(daemon, {("10.0.0.1", HOST, 7101): 3, ("2001:db8::1", HOST6, 7102): 4, ("192.0.2.2", HOST, None): 1})
        rows = recent(daemon)
        assert {(row["rule"], row["via"], row["hook"], row["interface"]) for row in rows} == {("no", "nflog", "input", "to-client")}, rows
        assert [row["icmp_type"] for row in rows if row["protocol"] == "icmp"] == [8]




def exchange(namespace, source, destination, port, packets=3):
    """UDP questions; whether an answer came."""
    ipv6 = ":" in source
    with namespace.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(*((socket.IPPROTO_IPV6, 78) if ipv6 else (socket.IPPROTO_IP, 15)), 1)
        asking.bind((source, 0))
        asking.settimeout(0.3)
        for _ in range(packets):
            with contextlib.suppress(OSError):
                asking.sendto(b"x", (destination, port))
        with contextlib.suppress(OSError):
            return bool(asking.recv(100))
    return False


TRANSLATED = """
table ip n4 { chain post { type nat hook postrouting priority 100; ip saddr 10.1.0.0/16 oifname "to-server" masquerade; }; }
table ip6 n6 {
  chain post { type nat hook postrouting priority 100; ip6 saddr 2001:db8::/64 oifname "to-server" masquerade; }
}
table inet late {
  chain post { type filter hook postrouting priority 300; udp dport 7005 counter drop; }
  chain answers { type filter hook prerouting priority 0; iifname "to-server" udp sport 7000 counter drop; }
}
table ip d {
  chain pre { type nat hook prerouting priority -100; ip daddr 192.0.2.1 udp dport 8005 dnat to 198.51.100.2:7006; }
}
table inet inner { chain on { type filter hook forward priority 10; udp dport 7006 counter drop; }; }
"""


def test_behind_nat_the_client_is_told_and_counted():
    with Network() as network:
        network.gateway.nft(TRANSLATED)
        with Daemon(network.gateway, CONFIG % "") as daemon:
            daemon.wait_ready()
            daemon.wait_for_log("eBPF counts")
            wait_for_polls(daemon)
            expected = {}
            # Translated already when they are dropped.
            exchange(network.client, "10.1.0.7", SERVER, 7005)
            expected["10.1.0.7", SERVER, 7005] = 3
            exchange(network.client, "2001:db8::7", SERVER6, 7005)
            expected["2001:db8::7", SERVER6, 7005] = 3
            # Answers: of a translated connection, where they still have the gateway's address, and of one that is not.
            assert not exchange(network.client, "10.1.0.8", SERVER, 7000)
            expected["10.1.0.8", SERVER, 7000] = 3
            assert not exchange(network.client, "10.9.0.8", SERVER, 7000)
            expected["10.9.0.8", SERVER, 7000] = 3
            # Its destination translated: whom it wanted.
            exchange(network.client, "10.9.0.9", "192.0.2.1", 8005)
            expected["10.9.0.9", "192.0.2.1", 8005] = 3
            wait_for(daemon, expected)
            rows = rows_when_named(daemon, 5, 15)
            rules = {row["source"]: row["rule"] for row in rows}
            assert rules == {
                "10.1.0.7": "udp dport 7005 counter drop",
                "2001:db8::7": "udp dport 7005 counter drop",
                "10.1.0.8": 'iifname "to-server" udp sport 7000 counter drop',
                "10.9.0.8": 'iifname "to-server" udp sport 7000 counter drop',
                "10.9.0.9": "udp dport 7006 counter drop",
            }, rules
            dropped = {row["source"]: sum(share["packets"] for share in row["drops"]) for row in daemon.sources(sort="drops")["sources"] if row["drops"]}
            assert dropped == {source: 3 for source, _, _ in expected}, dropped


def test_the_kernels_own_reasons_are_counted_by_their_names():
    with client_and_host() as (client, host), Daemon(host, CONFIG % "") as daemon:
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        wait_until(lambda: daemon.metrics().value("conntally_kernel_dropped_packets_total", reason="NO_SOCKET") is not None, 5, "reasons")

        def counted(reason):
            return daemon.metrics().value("conntally_kernel_dropped_packets_total", reason=reason)

        before = counted("NO_SOCKET")
        send(client, "10.0.0.1", 7, 9)  # nobody listens, and nobody drops it
        wait_until(lambda: counted("NO_SOCKET") == before + 7, 5, "packets to a closed port")
        send(client, "192.0.2.2", 5, 9, "192.0.2.2")  # not ours
        host.sysctl("net.ipv4.conf.all.rp_filter", 1)
        host.sysctl("net.ipv4.conf.to-client.rp_filter", 1)
        host.ip("route", "del", "10.0.0.0/8")
        send(client, "10.0.0.1", 4, 9)
        wait_until(lambda: counted("IP_RPFILTER") == 4, 5, "the reverse path filter")
        damaged = struct.pack("!HHHH", 4000, 9, 12, 0x1234) + b"spam"  # with a checksum that is wrong
        with client.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            raw.sendto(damaged, (HOST, 9))
        wait_until(lambda: counted("UDP_CSUM") == 1, 5, "a wrong checksum")
        assert counted("NO_SOCKET") == before + 7
        assert daemon.metrics().sum("conntally_dropped_packets_total") == 0


main()
