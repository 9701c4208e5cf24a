"""Troubles of the field: those who were answered are answered no more, and no rule of this host has a part in it."""

import random

from alert_field_traffic import HOST, client, member, member6, server, server6
from alert_field_trouble import Told, questions, trouble, visits

TRACKED = """
table inet filter { chain input { type filter hook input priority 0; policy accept; ct state invalid counter; }; }
"""
MASQUERADE = """
table ip nat { chain postrouting { type nat hook postrouting priority 100; oifname "wan" ip saddr 10.0.0.0/8 masquerade; }; }
"""
# The far end takes packets and says nothing.
SILENT = "table inet silent {{ chain input {{ type filter hook input priority 0; {} drop; }}; }}"
SPEAK = "delete table inet silent"
UNANSWERED = "ConnectionsUnanswered"
SITES = [server(i) for i in range(20)]


async def _gateway(net, people=80, rate=20):
    await net.nft(TRACKED + MASQUERADE)
    await net.run("ip", "route", "add", "blackhole", "10.0.0.0/8", where="outside")  # as nobody out there knows the way to them
    net.serve_tcp("outside", 443)
    net.serve_udp("outside", 53)
    members = [member(i) for i in range(people)]
    net.spawn(visits(net, members, rate * 2 / 3, to=SITES, where="inside"))
    net.spawn(questions(net, members, rate / 3, to=server(0), where="inside"))


@trouble(Told(UNANSWERED), gateway=True, restarted=True)
async def nobody_behind_the_gateway_is_answered(net):
    await _gateway(net)
    yield
    await net.nft(SILENT.format("meta l4proto { tcp, udp }"), where="outside")
    yield
    await net.nft(SPEAK, where="outside")


@trouble(Told(UNANSWERED), gateway=True)
async def a_gateway_loses_its_masquerading(net):
    await _gateway(net)
    yield
    await net.nft("delete table ip nat")
    yield
    await net.nft(MASQUERADE)


@trouble(Told(UNANSWERED, mentions=(server(7),)))
async def the_upstream_of_a_resolver_dies(net):
    """Its own clients are told so; it is the host that asks in vain."""
    await net.nft(TRACKED)
    net.serve_udp("outside", 53)
    net.serve_udp("host", 53)
    net.spawn(questions(net, [client(i) for i in range(60)], 15))
    net.spawn(net.pace(15, lambda: net.ask("host", HOST, server(7), 53)))
    yield
    await net.nft(SILENT.format("udp dport 53"), where="outside")
    yield
    await net.nft(SPEAK, where="outside")


@trouble(Told(UNANSWERED, mentions=(server(2),)))
async def one_of_three_backends_dies(net):
    await net.nft(TRACKED)
    net.serve_tcp("outside", 8080)
    net.serve_tcp("host", 443)
    net.spawn(visits(net, [client(i) for i in range(60)], 15))
    net.spawn(net.pace(15, lambda: net.tcp("host", HOST, server(random.randrange(3)), 8080)))
    yield
    await net.nft(SILENT.format(f"ip daddr {server(2)}"), where="outside")
    yield
    await net.nft(SPEAK, where="outside")


@trouble(Told(UNANSWERED, mentions=(f"{HOST} TCP port 443",)), gateway=True)
async def a_published_server_dies(net):
    await net.nft(TRACKED + f"table ip nat {{ chain prerouting {{ type nat hook prerouting priority -100; tcp dport 443 dnat to {member(1)}:8443; }}; }}")
    net.serve_tcp("inside", 8443)
    net.spawn(visits(net, [client(i) for i in range(100)], 20))
    yield
    await net.nft(SILENT.format("tcp dport 8443"), where="inside")
    yield
    await net.nft(SPEAK, where="inside")


@trouble(Told(UNANSWERED, mentions=(f"{HOST} TCP port 443", "refused by RST")))
async def a_service_of_the_host_dies(net):
    await net.nft(TRACKED)
    service = net.serve_tcp("host", 443)
    net.spawn(visits(net, [client(i) for i in range(100)], 20))
    yield
    service.close()
    yield
    net.serve_tcp("host", 443)


@trouble(Told(UNANSWERED, mentions=("this host's own",)), long=True)
async def the_upstream_of_a_forward_proxy_dies(net):
    await net.nft(TRACKED)
    net.serve_tcp("outside", 443)
    net.serve_tcp("host", 3128)
    net.spawn(visits(net, [client(i) for i in range(40)], 8, port=3128))
    net.spawn(net.pace(10, lambda: net.tcp("host", HOST, server(random.randrange(300)), 443)))
    yield
    await net.nft(SILENT.format("tcp dport 443"), where="outside")
    yield
    await net.nft(SPEAK, where="outside")


@trouble(Told(UNANSWERED, anyone=("IPv6", "2001:db8:21::/64")), gateway=True, long=True)
async def ipv6_beyond_the_gateway_dies(net):
    await net.nft(TRACKED)
    net.serve_tcp("outside", 443)
    net.serve_tcp("outside", 443, "::")
    net.spawn(visits(net, [member(i) for i in range(70)], 8, to=[server(i) for i in range(40)], where="inside"))
    net.spawn(visits(net, [member6(i) for i in range(50)], 5, to=[server6(i) for i in range(40)], where="inside", patience=1))
    yield
    await net.nft("table ip6 silent { chain input { type filter hook input priority 0; tcp dport 443 drop; }; }", where="outside")
    yield
    await net.nft("delete table ip6 silent", where="outside")


# Not restarted: a new daemon would know nothing of those who are cut off.
@trouble(Told(UNANSWERED), also=("HalfOpenFlood",), events=((0, lambda host: None),), long=True)
async def a_wrong_route_cuts_off_forty_of_a_hundred(net):
    await net.nft(TRACKED)
    net.serve_tcp("host", 443)
    net.spawn(visits(net, [client(i) for i in range(60)] + [client(256 + i) for i in range(40)], 10))
    yield
    await net.run("ip", "route", "add", "blackhole", "20.0.2.0/24")
    yield
    await net.run("ip", "route", "del", "blackhole", "20.0.2.0/24")


@trouble(Told(UNANSWERED, mentions=("the network 21.0.4.0/24 over TCP",)), gateway=True, long=True)
async def a_network_of_sixty_small_sites_dies(net):
    await net.nft(TRACKED + MASQUERADE)
    net.serve_tcp("outside", 443)
    sites = {False: [server(i) for i in range(60)], True: [server(768 + i) for i in range(60)]}
    net.spawn(net.pace(12, lambda: net.tcp("inside", member(random.randrange(70)), random.choice(sites[random.random() < 0.35]), 443, patience=6)))
    yield
    await net.nft(SILENT.format("ip daddr 21.0.4.0/24"), where="outside")
    yield
    await net.nft(SPEAK, where="outside")


@trouble(Told(UNANSWERED, mentions=("refused by RST", "more")), long=True)
async def thirty_small_services_refuse_at_once(net):
    await net.nft(TRACKED)
    ports = range(8001, 8031)
    services = [net.serve_tcp("outside", port, server(0)) for port in ports]
    net.serve_tcp("host", 443)
    net.spawn(visits(net, [client(i) for i in range(10)], 1))
    net.spawn(net.pace(15, lambda: net.tcp("host", HOST, server(0), random.choice(ports))))
    yield
    for service in services:
        service.close()
    yield
    for port in ports:
        net.serve_tcp("outside", port, server(0))


@trouble(Told(UNANSWERED, mentions=(f"{server(2)} TCP port 8080", "refused by RST")), long=True)
async def one_of_three_backends_refuses(net):
    await net.nft(TRACKED)
    backends = [net.serve_tcp("outside", 8080, server(i)) for i in range(3)]
    net.serve_tcp("host", 443)
    net.spawn(visits(net, [client(i) for i in range(60)], 15))
    net.spawn(net.pace(15, lambda: net.tcp("host", HOST, server(random.randrange(3)), 8080)))
    yield
    backends[2].close()
    yield
    net.serve_tcp("outside", 8080, server(2))
