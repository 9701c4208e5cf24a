"""Troubles of the field: what one source does, or many that are forged."""

import asyncio
import itertools
import random
import socket
import struct

from alert_field_traffic import HOST, HOST6, SYN, _checksum, client, client6, forged, member, server, stranger
from alertmanager import alerting
from harness import FULL
from alert_field_trouble import Told, switched, trouble, visits

# What most hosts have: who is answered goes on, a few services are open, the rest is dropped.
DENY = """
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    iifname { "lo", "mgmt" } accept
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
    tcp dport 443 accept
    udp dport 53 accept
    tcp dport 25 counter drop
  }
}
"""
LIMITED = """
table inet filter {
  set clients { type ipv4_addr; size 65535; flags dynamic; }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname { "lo", "mgmt" } accept
    tcp dport 443 ct state new add @clients { ip saddr ct count over 100 } counter reject
  }
}
"""
TRACKED = "table inet filter { chain input { type filter hook input priority 0; policy accept; ct state invalid counter; }; }"
SCANNED = random.Random(1).sample(range(1, 30_000), 5_000)


async def _serve(net, rules, people=60, rate=12, ipv6=False):
    await net.nft(rules)
    net.serve_tcp("host", 443, "::" if ipv6 else "0.0.0.0")
    net.serve_udp("host", 53)
    net.spawn(visits(net, [(client6 if ipv6 else client)(i) for i in range(people)], rate, to=HOST6 if ipv6 else HOST))


class Raw6:
    """SYNs of any IPv6 source."""

    def __init__(self, net):
        net.socket("outside", socket.SOCK_DGRAM).close()  # enters it
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def tcp(self, source, source_port, destination, port):
        addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
        header = struct.pack("!HHIIBBHHH", source_port, port, random.getrandbits(32), 0, 5 << 4, SYN, 64240, 0, 0)
        checksum = _checksum(addresses + struct.pack("!II", len(header), socket.IPPROTO_TCP) + header)
        packet = struct.pack("!IHBB", 6 << 28, len(header), socket.IPPROTO_TCP, 64) + addresses + header[:16] + struct.pack("!H", checksum) + header[18:]
        self.socket.sendto(packet, (destination, 0))


def _scan(raw, source, address):
    ports = iter(SCANNED * 10)
    return lambda: raw.tcp(source, random.randrange(30_000, 60_000), address, next(ports))


@trouble(Told("SourceScanning", source=stranger(1)), restarted=True)
async def a_stranger_scans_the_ports_that_default_deny_drops(net):
    await _serve(net, DENY)
    on = switched(net, 60, _scan(net.raw(), stranger(1), HOST))
    yield
    on.append(True)
    yield
    on.clear()


@trouble(Told("SourceScanning", source="2001:db8:99::1"))
async def a_stranger_scans_by_ipv6_the_ports_that_default_deny_drops(net):
    await _serve(net, DENY, ipv6=True)
    on = switched(net, 60, _scan(Raw6(net), "2001:db8:99::1", HOST6))
    yield
    on.append(True)
    yield
    on.clear()


@trouble(Told("SourceScanning", source=stranger(1)))
async def a_stranger_scans_the_ports_of_a_host_without_a_firewall(net):
    await _serve(net, TRACKED)
    on = switched(net, 60, _scan(net.raw(), stranger(1), HOST))
    yield
    on.append(True)
    yield
    on.clear()


@trouble(Told("SourceScanning", source=member(7)), gateway=True)
async def a_machine_behind_the_gateway_scans_others(net):
    """A worm asks one port of everybody; hardly anyone is there."""
    await net.nft(TRACKED)
    await net.nft("table inet silent { chain input { type filter hook input priority 0; tcp dport 22 drop; }; }", where="outside")
    net.serve_tcp("outside", 443)
    net.spawn(visits(net, [member(i) for i in range(40)], 15, to=[server(i) for i in range(20)], where="inside"))
    on = switched(net, 20, lambda: net.spawn(net.tcp("inside", member(7), server(random.randrange(60_000)), 22, patience=1)))
    yield
    on.append(True)
    yield
    on.clear()


@trouble(Told("SourceScanning", source=member(7)), gateway=True, brief=True)
async def a_machine_behind_the_gateway_scans_a_server_in_two_seconds(net):
    """As nmap does it: the server refuses, and all is over before anybody looks."""
    await net.nft(TRACKED)
    net.serve_tcp("outside", 443)
    net.spawn(visits(net, [member(i) for i in range(40)], 15, to=[server(i) for i in range(20)], where="inside"))
    raw, ports = net.raw("inside"), iter(SCANNED)
    on = switched(net, 500, lambda: raw.tcp(member(7), random.randrange(30_000, 60_000), server(1), next(ports)))
    yield
    on.append(True)
    await asyncio.sleep(3)
    on.clear()
    yield


@trouble(Told("SourceScanning", source=client(5)), brief=True)
async def a_regular_scans_in_two_seconds_what_default_deny_drops(net):
    await _serve(net, DENY)
    on = switched(net, 500, _scan(net.raw(), client(5), HOST))
    yield
    on.append(True)
    await asyncio.sleep(3)
    on.clear()
    yield


@trouble(Told("HalfOpenFlood"), restarted=True)
async def forged_sources_flood_a_service_with_syns(net):
    await _serve(net, TRACKED)
    raw = net.raw()
    on = switched(net, 200, lambda: raw.tcp(forged(random.randrange(60_000)), random.randrange(1024, 65_536), HOST, 443))
    yield
    on.append(True)
    yield
    on.clear()


@trouble(Told("HalfOpenFlood"))
async def forged_sources_flood_a_service_with_syns_by_ipv6(net):
    await _serve(net, TRACKED, ipv6=True)
    raw = Raw6(net)
    on = switched(net, 200, lambda: raw.tcp(f"2001:db8:99::{random.randrange(1, 60_000):x}", random.randrange(1024, 65_536), HOST6, 443))
    yield
    on.append(True)
    yield
    on.clear()


async def _leak(net):
    """Opens and does not close; what it has goes with it."""
    while True:
        net.spawn(net.tcp("outside", client(3), HOST, 443, hold=3600))
        await asyncio.sleep(0.3)


async def _leaks(net):
    yield
    leaking = net.loop.create_task(_leak(net))
    yield
    leaking.cancel()
    await net.run("conntrack", "-D", "--src", client(3))


@trouble(Told("SourceNearConnectionLimit", source=client(3), rule="ct count over 100"), also=("RegularSourcesDropped", "SourceMatchesDropRule"), restarted=True)
async def a_client_leaks_connections_up_to_its_limit(net):
    await _serve(net, LIMITED)
    async for _ in _leaks(net):
        yield


@trouble(Told("SourceNearConnectionLimit", source=client(3), rule="connlimit"), also=("RegularSourcesDropped", "SourceMatchesDropRule"))
async def a_client_leaks_connections_up_to_the_limit_of_a_legacy_rule(net):
    await _serve(net, TRACKED)
    await net.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--syn", "--dport", "443", "-m", "connlimit", "--connlimit-above", "100", "-j", "REJECT")
    async for _ in _leaks(net):
        yield


@trouble(Told("SourceConnectionChurn", source=client(3)))
async def a_client_opens_far_more_connections_than_it_used_to(net):
    await _serve(net, TRACKED)
    await net.nft("table inet mute { chain input { type filter hook input priority 0; udp sport 53 drop; }; }", where="outside")
    raw = net.raw()
    ask = lambda: raw.udp(client(3), random.randrange(1024, 65_536), HOST, 53)
    net.spawn(net.pace(1, ask))
    on = switched(net, 300, ask)
    yield
    on.append(True)
    yield
    on.clear()


@trouble(Told("SourceConnectionChurn", source=stranger(1)), also=("SourceScanning",))
async def a_stranger_floods_a_closed_port(net):
    await _serve(net, TRACKED)
    raw = net.raw()
    on = switched(net, 300, lambda: raw.udp(stranger(1), random.randrange(1024, 65_536), HOST, 9))
    yield
    on.append(True)
    yield
    on.clear()


# The real offender beside forged ones, with somebody to be told: a host of its own Alertmanager.
FORGED = 100_000 if FULL else 2_000
NOTIFICATIONS_MOST = 20


def _listen(host):
    host.webhook = host.helpers.enter_context(alerting(host.namespaces["host"]))[1]


def _few_are_told(host):
    heard = host.webhook.heard
    print(f"  {len(heard)} notifications beside {FORGED} forged sources: {host.webhook.all()}")
    if not [each for each in heard if each.labels.get("source") == client(5)]:
        yield f"the Alertmanager is not told of {client(5)}"
    if len(heard) > NOTIFICATIONS_MOST:
        yield f"{len(heard)} notifications"


@trouble(Told("SourceScanning", source=client(5)), also=("DropRuleSpike",),
         config='alertmanager: {urls: ["http://127.0.0.1:9093"]}\n', events=((-20, _listen),), check=_few_are_told)
async def forged_sources_hide_one_that_scans(net):
    """A hundred and twenty seem to scan as well, and a new one comes with each other packet."""
    await _serve(net, DENY)
    raw, sent = net.raw(), itertools.count()

    def forge():
        i = next(sent)
        raw.udp(forged(i // 2 % 120 if i % 2 else 120 + i // 2 % FORGED), 4000, HOST, random.randrange(1024, 65_536))

    on = [switched(net, 2_500 if FULL else 600, forge), switched(net, 60, _scan(raw, client(5), HOST))]
    yield
    for each in on:
        each.append(True)
    yield
    for each in on:
        each.clear()


@trouble(Told("SourceScanning", source=member(7)), gateway=True, long=True)
async def a_busy_client_scans_beside_its_work(net):
    await net.nft(TRACKED)
    await net.nft("table inet silent { chain input { type filter hook input priority 0; tcp dport 22 drop; }; }", where="outside")
    net.serve_tcp("outside", 443)
    net.spawn(visits(net, [member(i) for i in range(30)], 5, to=[server(i) for i in range(20)], where="inside"))
    net.spawn(net.pace(2, lambda: net.tcp("inside", member(7), server(random.randrange(2000)), 443)))
    scan = []
    net.spawn(net.pace(lambda _: 6 if scan else 0, lambda: net.tcp("inside", member(7), server(random.randrange(60_000)), 22, patience=0.2)))
    yield
    scan.append(True)
    yield
    scan.clear()


@trouble(Told("SourceScanning", source=member(7)), also=("SourceMatchesDropRule",), gateway=True, long=True)
async def one_of_ours_sweeps_for_shares_behind_a_rule(net):
    await net.nft("table inet filter { chain forward { type filter hook forward priority 0; ct state established accept; tcp dport 445 reject; }; }")
    net.serve_tcp("outside", 443)
    net.spawn(visits(net, [member(i) for i in range(30)], 6, to=[server(i) for i in range(20)], where="inside"))
    hosts, sweep = itertools.cycle(range(1280, 1520)), []
    net.spawn(net.pace(lambda _: 10 if sweep else 0, lambda: net.tcp("inside", member(7), server(next(hosts)), 445, patience=1)))
    yield
    sweep.append(True)
    yield
    sweep.clear()


@trouble(Told("HalfOpenFlood"), also=("SourceScanning",), long=True)
async def ten_forged_sources_flood_by_syns(net):
    await _serve(net, TRACKED, 40, 6)
    raw = net.raw()
    flood = switched(net, 150, lambda: raw.tcp(forged(random.randrange(10)), random.randrange(1024, 65_000), HOST, 443))
    yield
    flood.append(True)
    yield
    flood.clear()
