"""Healthy hosts where much fails all day, or for a while, and means nothing. In the long form, beside those of alert_field_healthy_hosts.py."""

import asyncio
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
    ]
