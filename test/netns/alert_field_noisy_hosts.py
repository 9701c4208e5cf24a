"""Healthy hosts where much fails all day, or for a while, and means nothing. In the long form, beside those of alert_field_healthy_hosts.py."""

import asyncio
import contextlib
import itertools
import random
import socket

from alert_field import *
from alert_field_healthy_hosts import WEB, accepted, dead_servers, some, together, web
from alert_field_traffic import *

GONE = "table inet gone { set gone { type ipv4_addr; flags interval; }\n chain input { type filter hook input priority 0; ip daddr @gone drop; }; }\n"
DNAT = """table ip nat {
  chain prerouting { type nat hook prerouting priority -100; tcp dport 443 dnat to 10.0.1.1:8443; }
  chain postrouting { type nat hook postrouting priority 100; oifname "wan" masquerade; }
}
"""

FORWARD = """table inet filter {{
  set trackers {{ type ipv4_addr; flags interval; elements = {{ 21.0.2.0/24 }}; }}
  set allowed {{ type ipv4_addr; flags timeout; }}
  chain forward {{ type filter hook forward priority 0; policy accept; ct state established,related accept; {}; }}
}}
table ip nat {{ chain postrouting {{ type nat hook postrouting priority 100; oifname "wan" masquerade; }}; }}
"""


async def silence(net, where, address, gone):
    await net.run("nft", *(["add", "element", "inet", "gone", "gone", f"{{ {address} }}"] if gone else ["flush", "set", "inet", "gone", "gone"]), where=where)


async def wireguard_noise(net):
    """A VPN answers its peers and is silent to all others. Some day bots find the port."""
    peers = {client(i) for i in range(60)}
    net.serve_udp("host", 51_820, answers=lambda source: source in peers)
    flows = [net.flow("outside", client(i), HOST, 51_820) for i in range(60)]
    raw = net.raw()

    def roams():
        i = random.randrange(60)
        flows[i].close()
        flows[i] = net.flow("outside", client(i), HOST, 51_820)

    await together(net, (15, lambda: net.send(random.choice(flows))), (1.5, roams), web(net, 3),
                   (lambda now: 5 if now > 0.4 * net.seconds else 0, lambda: raw.udp(some(stranger, 300), random.randrange(1024, 65_000), HOST, 51_820)))


async def half_open_checks(net):
    """A balancer inside checks 140 backends by SYN, SYN/ACK, RST, and sends its clients to five."""
    for port in range(8000, 8028):
        net.serve_tcp("outside", port)
    raw, numbers = net.raw("inside"), itertools.count()

    def check():
        i = next(numbers) % 140
        raw.tcp(member(5), random.randrange(20_000, 60_000), server(i // 28), 8000 + i % 28)

    await together(net, (5.6, check), (5, lambda: net.tcp("inside", member(5), some(server, 5), 8001)),
                   (3, lambda: net.tcp("inside", some(member, 20), some(server, 5), 8002)))


async def syn_reflection(net):
    """SYNs in the name of victims, all the time, so that the host answers these."""
    raw = net.raw()
    await together(net, web(net, 5), (8, lambda: raw.tcp(forged(random.randrange(30_000)), random.randrange(1024, 65_000), HOST, 443)))


async def dead_cloud(net):
    """Eighty cameras call a maker that is no more; they do nothing else beyond the gateway."""
    await dead_servers(net)
    net.serve_tcp("outside", 443)
    numbers = itertools.count()
    await together(net, (9, lambda: net.tcp("inside", member(300 + next(numbers) % 80), server(1030), 443, patience=4)),
                   (5, lambda: net.tcp("inside", some(member, 20), some(server, 20), 443)))


async def forbidden_port(net):
    """The new version of an agent tries a port that was never open; all else that it does succeeds."""
    net.serve_tcp("host", 443)
    await together(net, (6, lambda: net.tcp("outside", some(client, 30), HOST, 443)),
                   (lambda now: 6 if now > 0.4 * net.seconds else 0, lambda: net.tcp("outside", some(client, 30), HOST, 4317, patience=3)))


async def laptops_arrive(net):
    """A hundred laptops come within a minute, with their NetBIOS, LLMNR, SSDP and mDNS, to a default deny."""
    await net.run("ip", "route", "add", "224.0.0.0/4", "dev", "to-host", where="outside")
    joined = net.socket("host", socket.SOCK_DGRAM)
    for group in ("224.0.0.251", "224.0.0.252", "239.255.255.250"):
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(HOST))
    raw = net.raw()
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    net.serve_tcp("host", 445)
    chatter = (("192.0.2.255", 137), ("224.0.0.251", 5353), ("224.0.0.252", 5355), ("239.255.255.250", 1900))

    def there():
        return int(min(max(net.elapsed() - 0.4 * net.seconds, 0) / 60, 1) * 110 + 10)

    def chat():
        to, port = random.choice(chatter)
        raw.udp(client(random.randrange(there())), port, to, port)

    await together(net, (lambda now: there() * 0.35, chat), (3, lambda: net.tcp("outside", client(random.randrange(there())), HOST, 445, hold=5)))


async def autoscaler_scales_in(net):
    """Of four backends one is drained, then ended; its health checks go on for a while."""
    await net.nft(GONE, where="outside")
    net.serve_tcp("outside", 8080)
    used, checked = [server(i) for i in range(4)], [server(i) for i in range(4)]

    async def scale():
        await net.until(0.35 * net.seconds)
        used.pop()
        await asyncio.sleep(0.1 * net.seconds)
        await silence(net, "outside", server(3), True)
        await asyncio.sleep(0.4 * net.seconds)
        checked.pop()

    net.spawn(scale())
    await together(net, web(net, 5), (10, lambda: net.tcp("host", HOST, random.choice(used), 8080)),
                   (4, lambda: net.tcp("host", HOST, random.choice(checked), 8080, patience=2)))


async def container_recreated(net):
    """Eighty websocket clients of a published container, which is away for 20 s; they come back at once, and stay."""
    await net.nft(GONE, where="inside")
    service = net.serve_tcp("inside", 8443, member(1))

    async def holds(i):
        while True:
            await net.tcp("outside", client(i), HOST, 443, hold=1000, every=5, patience=1.5)
            await asyncio.sleep(random.uniform(0.5, 1.5))

    for i in range(80):
        net.spawn(holds(i))
    net.spawn(net.pace(3, lambda: net.tcp("outside", some(client, 80), HOST, 443)))
    await net.until(0.4 * net.seconds)
    service.close()
    await silence(net, "inside", member(1), True)
    await asyncio.sleep(20)
    net.serve_tcp("inside", 8443, member(1))
    await silence(net, "inside", member(1), False)
    await net.until(net.seconds)


async def home_at_night(net):
    """By day people browse, and a few devices call what is dead; at night these are alone."""
    await dead_servers(net)
    net.serve_tcp("outside", 443)
    by_day = lambda now: 8 if now < 0.4 * net.seconds else 0
    await together(net, (by_day, lambda: net.tcp("inside", some(member, 12), some(server, 30), 443)), (1, lambda: net.tcp("host", HOST, server(3), 443)),
                   (0.4, lambda: net.tcp("inside", some(member, 5), server(1030), 443, patience=4)), (3, lambda: net.ask("inside", member(7), server(1), 53)))


async def office_goes_home(net):
    """Twenty people browse until evening; their machines report to a blocked maker as before."""
    net.serve_tcp("outside", 443)
    evening = 0.5 * net.seconds
    here = lambda: 20 if net.elapsed() < evening else max(2, int(20 - (net.elapsed() - evening) / 3))
    machines = itertools.cycle(random.sample(range(20), 20))
    for i in range(20):
        net.spawn(net.tcp("inside", member(i), server(31), 443, hold=1000, every=10))
    await together(net, (lambda now: 0.9 * here() if here() > 2 else 0.3, lambda: net.tcp("inside", some(member, here()), some(server, 30), 443, hold=1)),
                   (0.4, lambda: net.tcp("inside", member(next(machines)), some(server, 20, 300), 443, patience=17)))


async def captive_portal(net):
    """Logins expire one after another. Most guests are soon back; some telephones stay in a pocket."""
    net.serve_tcp("outside", 443)

    async def guest(i, wait):
        await asyncio.sleep(wait)
        me = member(i)
        while True:
            lasts = random.randrange(110, 260)
            await net.nft(f"add element inet filter allowed {{ {me} timeout {lasts}s }}")
            ends = net.elapsed() + lasts
            while net.elapsed() < ends:
                net.spawn(net.tcp("inside", me, some(server, 30), 443, hold=random.choice((0, 1, 5)), patience=4))
                await asyncio.sleep(random.expovariate(0.5))
            ends = net.elapsed() + (random.uniform(5, 15) if random.random() < 0.75 else random.uniform(40, 120))
            while net.elapsed() < ends:
                net.spawn(net.tcp("inside", me, some(server, 30), 443, patience=4))
                await asyncio.sleep(random.uniform(3, 9))

    for i in range(40):
        net.spawn(guest(i, random.uniform(0, 10) if i < 25 else random.uniform(10, 0.8 * net.seconds)))
    await net.until(net.seconds)


async def recorded_calls(net):
    """An exchange sends each call to a recorder: two streams, each to a port of its own, and nothing comes back. Somebody traces a route by UDP."""
    net.serve_tcp("outside", 443)
    for port in range(20_000, 20_400, 2):
        net.serve_udp("outside", port, server(0), answers=lambda source: False)
    ports = itertools.cycle(range(20_000, 20_400, 2))
    net.spawn(net.tcp("inside", member(0), server(0), 443, hold=10_000, every=5))

    async def call():
        streams = [net.flow("inside", member(0), server(0), next(ports)) for _ in range(2)]
        for _ in range(45):
            for each in streams:
                net.send(each)
            await asyncio.sleep(1)
        for each in streams:
            each.close()

    async def trace():
        await net.until(0.5 * net.seconds)
        with net.socket("inside", socket.SOCK_DGRAM, member(3)) as sender:
            for port in range(33_000, 34_200):
                with contextlib.suppress(OSError):
                    sender.sendto(b"x", (server(77), port))
                await asyncio.sleep(0.1)

    net.spawn(trace())
    await together(net, (1.1, call), (0.4, lambda: net.tcp("inside", member(3), some(server, 20, 10), 443)),
                   (3, lambda: net.tcp("inside", some(member, 20, 10), some(server, 20, 10), 443, hold=1)))


async def refused_laptops_arrive(net):
    """More and more laptops look for shares of another network, which a rule rejects: each as often as ever."""
    net.serve_tcp("outside", 443)
    raw, began = net.raw("inside"), 0.4 * net.seconds
    here = lambda: int(8 + min(max(net.elapsed() - began, 0) / 90, 1) * 115)

    async def look():
        source, to, port = some(member, here()), some(server, 3, 500), random.choice((445, 445, 139, 9100))
        for wait in (0, 0.5, 0.5):
            await asyncio.sleep(wait)
            raw.tcp(source, random.randrange(49_152, 65_535), to, port)

    await together(net, (lambda now: 0.13 * here(), look),
                   (lambda now: 0.3 + 0.07 * here(), lambda: net.tcp("inside", some(member, here()), some(server, 30), 443, hold=1)))


async def idle_guests(net):
    """Guests look for televisions, which isolation drops. A lecture begins: they do little else."""
    net.serve_tcp("outside", 443)
    idle = lambda: 0.45 * net.seconds < net.elapsed() < 0.85 * net.seconds
    await together(net, (1.5, lambda: net.tcp("inside", some(member, 50), some(server, 250, 512), random.choice((8009, 7000)), patience=4)),
                   (lambda now: 1 if idle() else 12, lambda: net.tcp("inside", some(member, 50), some(server, 40), 443, hold=random.choice((0, 1, 5)))))


def noisy_hosts():
    return [
        Host("wireguard_noise", wireguard_noise, default_deny(WEB, accepted(51_820, protocol="udp"))),
        Host("half_open_checks", half_open_checks, gateway=True),
        Host("syn_reflection", syn_reflection, default_deny(WEB)),
        Host("dead_cloud", dead_cloud, gateway=True),
        Host("forbidden_port", forbidden_port, default_deny(WEB)),
        Host("laptops_arrive", laptops_arrive, default_deny(accepted(445))),
        Host("autoscaler_scales_in", autoscaler_scales_in),
        Host("container_recreated", container_recreated, DNAT, gateway=True),
        Host("home_at_night", home_at_night, gateway=True),
        Host("office_goes_home", office_goes_home, FORWARD.format("ip daddr @trackers counter drop"), gateway=True),
        Host("captive_portal", captive_portal, FORWARD.format('ip saddr @allowed accept; iifname "lan" counter drop'), gateway=True),
        Host("recorded_calls", recorded_calls, FORWARD.format("tcp dport 25 drop"), gateway=True),
        Host("refused_laptops_arrive", refused_laptops_arrive, FORWARD.format("tcp dport { 139, 445, 9100 } counter reject"), gateway=True),
        Host("idle_guests", idle_guests, FORWARD.format("ip daddr 21.0.3.0/24 counter drop"), gateway=True),
    ]
