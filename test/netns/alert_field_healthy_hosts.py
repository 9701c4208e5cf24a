"""Healthy hosts of many kinds, and what each is busy with: nothing here is worth waking anybody.

Rates of each source are as in reality; what takes an hour there (a morning, a minute of cron) is drawn together.
"""

import asyncio
import itertools
import random
import socket
import struct

from alert_field import *
from alert_field_traffic import *
from alert_field_traffic import _checksum

DEAD = server(1024)  # outside, from here on: hosts that answer nothing
# Before every_port, which would make the address its own.
DEAD_SERVERS = "table inet dead { chain prerouting { type filter hook prerouting priority -300; ip daddr 21.0.5.0/24 drop; }; }\n"
# Whoever is asked on whichever high port answers.
EVERY_PORT = """
table ip every { chain prerouting { type nat hook prerouting priority -100;
  tcp dport 1024-65535 redirect to :6881
  udp dport 1024-65535 redirect to :6881
}; }
"""
NOISE_PORTS = (21, 22, 23, 25, 81, 445, 1433, 2375, 3389, 5900, 6379, 8080, 8443, 9200, 27017)


def some(who, count, first=0):
    return who(first + random.randrange(count))


async def together(net, *paces):
    await asyncio.gather(*(net.pace(*pace) for pace in paces))


def web(net, rate=5, clients=30, port=443):
    """Regulars of a web server: for `together`."""
    net.serve_tcp("host", port)
    return rate, lambda: net.tcp("outside", some(client, clients), HOST, port, hold=random.choice((0, 0.2, 2, 10)))


def noise(net, rate=8, strangers=400):
    """The internet at a default deny: each stranger sends a few packets and is gone."""
    raw = net.raw()

    async def knock():
        source, port = some(stranger, strangers), random.choice(NOISE_PORTS)
        for wait in random.choice(((0,), (1, 2), (0.1, 0.1, 0.1))):
            await asyncio.sleep(wait)
            raw.tcp(source, random.randrange(1024, 65_535), HOST, port)

    return rate / 2, knock


def lookups(net, rate, where="host", sources=1, servers=3, dead_share=0.0):
    source = {"host": lambda: HOST, "inside": lambda: some(member, sources)}[where]
    return rate, lambda: net.ask(where, source(), some(server, 200, 1024) if random.random() < dead_share else some(server, servers), 53)


async def dead_servers(net):
    await net.nft(DEAD_SERVERS, where="outside")


async def log_sink(net):
    for port in (514, 8125, 2055):
        net.serve_udp("host", port, answers=lambda source: False)
    raw = net.raw()
    await together(
        net,
        (30, lambda: raw.udp(client(i := random.randrange(60)), 40_000 + i, HOST, 514)),
        # Short-lived processes: each message from a port of its own.
        (45, lambda: raw.udp(some(client, 3, 100), random.randrange(32_768, 61_000), HOST, 8125)),
        (10, lambda: raw.udp(some(client, 5, 200), 2055, HOST, 2055)))


async def bittorrent(net):
    await net.nft(DEAD_SERVERS + EVERY_PORT, where="outside")
    net.serve_udp("outside", 6881)
    net.serve_tcp("outside", 6881)
    swarm = net.socket("inside", socket.SOCK_DGRAM, member(5), 51_413)
    peers = [(server(i) if random.random() < 0.8 else server(1024 + i % 250), random.randrange(1024, 65_535)) for i in range(500)]

    def distribute():
        with contextlib.suppress(OSError):
            swarm.sendto(b"find_node" * 4, random.choice(peers))

    def exchange():
        address, port = random.choice(peers)
        return net.tcp("inside", member(5), address, port, hold=random.choice((0, 5, 30)))

    net.serve_tcp("outside", 443)
    net.serve_udp("outside", 53)

    async def another_joins():
        """One more is started, and asks whomever it knew a day ago: half of them are gone."""
        await net.until(0.4 * net.seconds)
        gone = [(server(i) if i % 2 else server(1024 + i % 250), random.randrange(1024, 65_535)) for i in range(400)]
        await net.pace(40, lambda: net.ask("inside", member(6), *random.choice(gone)), 20)

    net.spawn(another_joins())
    await together(net, (25, distribute), (4, exchange), lookups(net, 3, "inside", 20),
                   (3, lambda: net.tcp("inside", some(member, 20), some(server, 50), 443, hold=1)))


async def blackbox_prober(net):
    await net.nft(DEAD_SERVERS + EVERY_PORT, where="outside")
    net.serve_tcp("outside", 6881)
    net.serve_tcp("outside", 443)
    net.serve_udp("outside", 53)
    pings = net.socket("host", socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP)
    targets = [server(i) for i in range(60)] + [server(1024 + i) for i in range(5)]
    probes = [(target, port) for target in targets for port in (22, 80, 443, 8000 + targets.index(target), 9000 + targets.index(target))]

    def ping():
        header = struct.pack("!BBHHH", 8, 0, 0, random.getrandbits(16), 1)
        pings.sendto(struct.pack("!BBHHH", 8, 0, _checksum(header), *struct.unpack("!HH", header[4:])), (random.choice(targets), 0))

    async def cycle():
        for address, port in probes:
            net.spawn(net.tcp("host", HOST, address, port))
            await asyncio.sleep(0.02)

    async def cycles():
        while True:
            await cycle()
            await asyncio.sleep(8)

    async def traceroute():
        target = random.choice(targets)
        for port in range(33_434, 33_464):
            net.spawn(net.ask("host", HOST, server(1024 + targets.index(target)), port, patience=1))
            await asyncio.sleep(0.03)

    net.spawn(cycles())
    await together(net, (8, ping), lookups(net, 6), (0.15, traceroute))


async def dns_resolver(net):
    await dead_servers(net)
    net.serve_udp("host", 53)
    net.serve_udp("outside", 53)
    await together(net, (90, lambda: net.ask("outside", some(client, 40), HOST, 53)), lookups(net, 230, servers=300, dead_share=0.03))


async def dns_authoritative(net):
    net.serve_udp("host", 53)
    net.serve_tcp("host", 53)
    await together(net, (60, lambda: net.ask("outside", client(9_000), HOST, 53)), (70, lambda: net.ask("outside", some(client, 3_000), HOST, 53)),
                   (3, lambda: net.tcp("outside", some(client, 3_000), HOST, 53)), noise(net))


async def load_balancer(net):
    net.serve_tcp("outside", 8080)
    backends = [server(i) for i in range(4)]
    await together(net, web(net, 30, 400), (90, lambda: net.tcp("host", HOST, random.choice(backends), 8080)))


async def forward_proxy(net):
    await dead_servers(net)
    net.serve_tcp("host", 3128)
    net.serve_tcp("outside", 443)
    net.serve_udp("outside", 53)

    def fetch():
        address = some(server, 200) if random.random() < 0.97 else some(server, 200, 1024)
        return net.tcp("host", HOST, address, 443, hold=random.choice((0, 0.5, 5)))

    await together(net, (40, lambda: net.tcp("outside", some(client, 30), HOST, 3128, hold=1)), (25, lambda: net.tcp("outside", client(500), HOST, 3128)),
                   (60, fetch), lookups(net, 20))


async def arrivals(net, rate, lives, sources):
    """Entries of answered connections, made by ct_load in pieces of 5 s."""
    made = 0
    while net.elapsed() < net.seconds - 5:
        present = rate(net.elapsed())
        began, count = net.elapsed(), int(present * 5)
        if count:
            await net.run(CT_LOAD, "create", "--first", made, "--count", count, "--rate", present, "--timeout", lives, "--sources", sources,
                          "--replied-every", 1, "--destination-ports", 4)
        made += count
        await net.until(began + 5)


async def morning_ramp(net):
    top = 0.6 * net.seconds
    await asyncio.gather(arrivals(net, lambda now: 20 + 980 * min(now / top, 1), 40, 400), net.pace(*web(net, 3)))


async def balancer_warms_up(net):
    await asyncio.gather(arrivals(net, lambda now: 600 if now > 8 else 0, 60, 900), net.pace(*web(net, 3)))


async def internet_noise(net):
    gusts = [part * net.seconds for part in (0.3, 0.7)]
    _, knock = noise(net)
    await together(net, web(net), (lambda now: 15 if any(gust < now < gust + 20 for gust in gusts) else 4, knock))


async def banned_bots(net):
    raw = net.raw()
    persistent = [stranger(i) for i in range(3)]
    await together(net, web(net), (6, lambda: raw.tcp(random.choice(persistent), random.randrange(1024, 65_535), HOST, 443)),
                   (9, lambda: raw.tcp(some(stranger, 57, 3), random.randrange(1024, 65_535), HOST, 443)))


BANS = "set banned { type ipv4_addr; flags interval; elements = { %s }; }"


async def ssh_with_bans(net, ban, lift=None):
    """Each of the strangers that guess passwords is banned, by what ban(source) runs, and goes on for a while."""
    net.serve_tcp("host", 22)
    numbers = itertools.count(1)

    async def attack():
        source = stranger(next(numbers))
        for _ in range(5):
            await net.tcp("outside", source, HOST, 22, hold=0.3)
        await net.run(*ban(source).split())
        for _ in range(random.randrange(10, 30)):
            await net.tcp("outside", source, HOST, 22, patience=1)
        if lift:
            await asyncio.sleep(60)
            await net.run(*lift(source).split(), check=False)

    await together(net, web(net), (0.06, attack), (0.5, lambda: net.tcp("outside", some(client, 5), HOST, 22, hold=20)), noise(net, 3))


async def fail2ban(net):
    await ssh_with_bans(net, lambda source: f"nft add element inet filter banned {{ {source} }}")


async def pod_waits_for_rollout(net):
    net.serve_tcp("outside", 8080)
    begins = 0.35 * net.seconds

    async def rollout():
        await net.until(begins)
        await net.nft(f"add rule inet filter forward ip daddr {server(50)} tcp dport 8080 reject comment \"no endpoints\"\n")
        await asyncio.sleep(40)
        await net.run("nft", "flush", "chain", "inet", "filter", "forward")

    net.spawn(rollout())
    await together(net, (2, lambda: net.tcp("inside", member(1), server(50), 8080)), (15, lambda: net.tcp("inside", some(member, 30), some(server, 20), 8080, hold=1)))


async def mail_with_greylisting(net):
    await dead_servers(net)
    net.serve_tcp("host", 25)
    net.serve_tcp("outside", 25)
    net.serve_udp("outside", 53)

    def deliver():
        address = some(server, 100) if random.random() < 0.85 else some(server, 200, 1024)
        return net.tcp("host", HOST, address, 25 if random.random() < 0.95 else 26, hold=1)

    async def greylisted():
        source = some(client, 800)
        await net.tcp("outside", source, HOST, 25, hold=0.5)
        await asyncio.sleep(20)
        await net.tcp("outside", source, HOST, 25, hold=3)

    await together(net, (3, greylisted), lookups(net, 25, servers=5), (4, deliver), noise(net, 5))


async def game_server(net):
    net.serve_udp("host", 27_015)
    players = [net.flow("outside", client(i), HOST, 27_015) for i in range(60)]

    def joins():
        i = random.randrange(60)
        players[i].close()
        players[i] = net.flow("outside", some(client, 5_000, 100), HOST, 27_015)

    await together(net, (90, lambda: net.send(random.choice(players))), (0.5, joins), (10, lambda: net.ask("outside", some(client, 900, 9_000), HOST, 27_015)), noise(net))


async def vpn_concentrator(net):
    net.serve_udp("host", 51_820)
    net.serve_udp("outside", 53)
    net.serve_tcp("outside", 443)
    peers = [net.flow("outside", client(i), HOST, 51_820) for i in range(60)]

    def roams():
        i = random.randrange(60)
        peers[i].close()
        peers[i] = net.flow("outside", client(i + 60 * random.randrange(3)), HOST, 51_820)

    await together(net, (40, lambda: net.send(random.choice(peers))), (1, roams), lookups(net, 10, "inside", 60),
                   (12, lambda: net.tcp("inside", some(member, 60), some(server, 100), 443, hold=random.choice((0, 1, 10)))))


async def kubernetes_rollout(net):
    pods = [member(i) for i in range(40)]
    services = {pod: net.serve_tcp("inside", 8080, pod) for pod in pods}
    net.serve_tcp("outside", 443)
    net.serve_udp("outside", 53)

    async def rollout():
        await net.nft("table inet gone { set gone { type ipv4_addr; }\n chain input { type filter hook input priority 0; ip daddr @gone drop; }; }\n", where="inside")
        await net.until(0.3 * net.seconds)
        for first in range(0, 40, 8):  # the old ones end, the new ones start: not there, then there and not listening, then ready
            batch = pods[first : first + 8]
            for pod in batch:
                services[pod].close()
            await net.run("nft", "add", "element", "inet", "gone", "gone", f"{{ {', '.join(batch)} }}", where="inside")
            await asyncio.sleep(3)
            await net.run("nft", "flush", "set", "inet", "gone", "gone", where="inside")
            await asyncio.sleep(3)
            for pod in batch:
                services[pod] = net.serve_tcp("inside", 8080, pod)

    async def rules_of_services():
        """What kube-proxy does at each change of an endpoint."""
        while True:
            rules = "".join(f"add rule ip services forward ip daddr {random.choice(pods)} tcp dport {8100 + i} counter accept\n" for i in range(60))
            await net.nft("add table ip services\nadd chain ip services forward { type filter hook forward priority 10; }\nflush chain ip services forward\n" + rules)
            await asyncio.sleep(3)

    net.spawn(rollout())
    net.spawn(rules_of_services())
    await together(net, (8, lambda: net.tcp("host", GATEWAY, random.choice(pods), 8080, patience=1)),  # the kubelet's probes
                   (25, lambda: net.tcp("outside", some(client, 80), random.choice(pods), 8080, hold=1)),
                   (10, lambda: net.tcp("inside", random.choice(pods), some(server, 20), 443)), lookups(net, 15, "inside", 40))


async def ci_runner(net):
    net.serve_tcp("outside", 443)
    net.serve_udp("outside", 53)

    async def job():
        for _ in range(150):
            net.spawn(net.ask("inside", member(1), server(0), 53))
            net.spawn(net.tcp("inside", member(1), some(server, 15), 443, hold=random.choice((0, 0, 3))))
            await asyncio.sleep(0.02)

    async def jobs():
        while True:
            await job()
            await asyncio.sleep(12)

    net.spawn(jobs())
    await together(net, (2, lambda: net.tcp("inside", some(member, 5), server(3), 443, hold=5)))


async def backup_window(net):
    net.serve_tcp("host", 873)

    async def backup():
        await net.until(0.35 * net.seconds)
        for _ in range(40):
            net.spawn(net.tcp("outside", client(200), HOST, 873, hold=0.4 * net.seconds, every=1))
        await net.pace(30, lambda: net.tcp("outside", client(200), HOST, 873), 0.4 * net.seconds)

    net.spawn(backup())
    await together(net, web(net))


async def carrier_nat(net):
    await net.nft(DEAD_SERVERS + EVERY_PORT, where="outside")
    net.serve_tcp("outside", 443)
    net.serve_tcp("outside", 6881)
    net.serve_udp("outside", 6881)
    net.serve_udp("outside", 53)

    def browse():
        address = some(server, 400) if random.random() < 0.93 else some(server, 200, 1024)
        return net.tcp("inside", some(member, 200), address, 443, hold=random.choice((0, 1, 5, 20)))

    await together(net, (30, browse), lookups(net, 30, "inside", 200),
                   (6, lambda: net.ask("inside", member(300), some(server, 200), random.randrange(1024, 65_535))),  # one plays and shares files
                   (6, lambda: net.ask("inside", some(member, 10, 301), some(server, 300), random.randrange(3_000, 4_000))))


async def iot_fleet(net):
    net.serve_tcp("host", 8883)
    net.serve_udp("host", 123)

    async def device(i):
        while True:
            await net.tcp("outside", client(i), HOST, 8883, hold=random.choice((20, 60, 300)) if i > 20 else 5, every=20)
            await asyncio.sleep(random.uniform(0.5, 2))

    for i in range(250):
        net.spawn(device(i))
        await asyncio.sleep(0.02)
    await together(net, (8, lambda: net.ask("outside", some(client, 250), HOST, 123)))


async def ntp_pool(net):
    net.serve_udp("host", 123)
    await together(net, (110, lambda: net.ask("outside", some(client, 60_000), HOST, 123)), (25, lambda: net.ask("outside", client(65_000), HOST, 123)), noise(net))


async def log_collector(net):
    net.serve_tcp("host", 5044)
    net.serve_tcp("outside", 9100)

    async def agent(i):
        while True:
            await net.tcp("outside", client(i), HOST, 5044, hold=random.choice((30, 90, 300)), every=1.5)
            await asyncio.sleep(1)

    for i in range(40):
        net.spawn(agent(i))
    await together(net, (8, lambda: net.tcp("host", HOST, some(client, 40), 9100)))


async def cron_peaks(net):
    net.serve_tcp("outside", 443)

    async def minutes():
        while True:
            await asyncio.sleep(30)
            for i in range(150):
                net.spawn(net.tcp("outside", client(i), HOST, 443))
                if i % 3 == 0:
                    net.spawn(net.tcp("host", HOST, some(server, 10), 443))

    net.spawn(minutes())
    await together(net, web(net, 3, 150))


async def deploy_restarts_everything(net):
    services = [net.serve_tcp("host", port) for port in (8001, 8002, 8003)]

    async def user(i):
        while True:
            await net.tcp("outside", client(i), HOST, 8001 + i % 3, hold=40, every=2)
            await asyncio.sleep(1)

    for i in range(120):
        net.spawn(user(i))
    await net.until(0.45 * net.seconds)
    for service in services:
        service.close()
    await asyncio.sleep(8)
    for port in (8001, 8002, 8003):
        net.serve_tcp("host", port)
    await together(net, (3, lambda: net.tcp("outside", some(client, 120), HOST, 8001)))


async def a_service_restarts(net):
    service = net.serve_tcp("host", 8443)
    net.spawn(net.pace(15, lambda: net.tcp("outside", some(client, 80), HOST, 8443, hold=random.choice((0, 2)))))
    await net.until(0.45 * net.seconds)
    service.close()
    await asyncio.sleep(35)
    net.serve_tcp("host", 8443)
    await net.until(net.seconds)


async def monitoring_begins_later(net):
    for port in (22, 9100, 9104, 9187):
        net.serve_tcp("host", port)
    net.serve_tcp("inside", 9100)
    await asyncio.gather(net.pace(*web(net)), monitor(net))


async def monitor(net):
    await net.until(0.4 * net.seconds)
    await together(net, (6, lambda: net.tcp("outside", client(200), HOST, random.choice((22, 9100, 9104, 9187)))),
                   (12, lambda: net.tcp("outside", client(200), some(member, 60), 9100)))


async def daemon_starts_late(net):
    net.serve_udp("host", 53)
    await together(net, web(net, 15, 100), (20, lambda: net.ask("outside", some(client, 100), HOST, 53)), noise(net))


async def just_booted(net):
    net.serve_udp("outside", 53)
    net.serve_udp("outside", 123)
    net.serve_tcp("outside", 443)
    returning = web(net, 6, 250)
    for i in range(250):  # its clients have waited for it
        net.spawn(net.tcp("outside", client(i), HOST, 443, hold=random.uniform(1, 60)))
        if i % 5 == 0:
            net.spawn(net.ask("host", HOST, server(0), 53))
            net.spawn(net.tcp("host", HOST, some(server, 5), 443, hold=1))
        await asyncio.sleep(0.01)
    await together(net, returning, lookups(net, 4), noise(net, 4))


async def crawler(net):
    await dead_servers(net)
    net.serve_udp("outside", 53)
    net.serve_tcp("outside", 443)

    def fetch():
        address = some(server, 400) if random.random() < 0.92 else some(server, 200, 1024)
        return net.tcp("host", HOST, address, 443 if random.random() < 0.96 else 80, hold=random.choice((0, 0.5)))

    await together(net, (50, fetch), lookups(net, 40))


async def lan_chatter(net):
    await net.run("ip", "route", "add", "224.0.0.0/4", "dev", "to-host", where="outside")
    joined = net.socket("host", socket.SOCK_DGRAM)
    joined.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + socket.inet_aton(HOST))
    net.serve_tcp("host", 445)
    raw = net.raw()
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    net.serve_udp("host", 67, answers=lambda source: False)
    chatter = (("192.0.2.3", 137), ("192.0.2.3", 138), ("224.0.0.251", 5353))
    await together(net, (4, lambda: net.tcp("outside", some(client, 30), HOST, 445, hold=random.choice((1, 20)))),
                   (10, lambda: raw.udp(some(client, 30), (to := random.choice(chatter))[1], *to)),
                   (1, lambda: raw.udp("0.0.0.0", 68, "192.0.2.3", 67)))  # who has no address yet


async def late_packets(net):
    raw = net.raw()
    await together(net, web(net, 12, 40), (4, lambda: raw.tcp(some(client, 40), random.randrange(32_768, 61_000), HOST, 443, random.choice((RST, FIN | ACK)))), noise(net, 4))


async def loopback_application(net):
    net.serve_tcp("host", 3306)
    await together(net, web(net, 10), (90, lambda: net.tcp("host", "127.0.0.1", "127.0.0.1", 3306)))


async def firewall_reloads(net):
    async def reload():
        for part in (0.4, 0.7):
            await net.until(part * net.seconds)
            await net.nft("flush ruleset\n" + net.host.rules)

    net.spawn(reload())
    await together(net, web(net), noise(net, 10))


async def telephone_exchange(net):
    for port in range(10_000, 10_400, 2):
        net.serve_udp("host", port)
    net.serve_udp("host", 5060)

    async def call():
        stream = net.flow("outside", client(1), HOST, random.randrange(10_000, 10_400, 2))
        for _ in range(60):
            net.send(stream)
            await asyncio.sleep(0.25)
        stream.close()

    phones = [net.flow("outside", client(10 + i), HOST, 5060) for i in range(40)]
    await together(net, (1.5, call), (8, lambda: net.send(random.choice(phones))), noise(net, 3))


async def closed_port(net):
    """A closed port refuses regulars now and then: RSTs of the host itself, no rule."""
    await together(net, web(net), (1, lambda: net.tcp("outside", some(client, 30), HOST, 8443)), noise(net, 4))


async def office_behind_one_address(net):
    """Forty people with one address read the site; a machine of theirs is infected, and knocks where nothing is let in."""
    raw = net.raw()
    await together(net, web(net), (4, lambda: net.tcp("outside", client(700), HOST, 443, hold=1)),
                   (2, lambda: raw.tcp(client(700), random.randrange(1024, 65_535), HOST, random.choice(NOISE_PORTS))))


async def new_version_sends_statsd(net):
    """One-way by nature, and from a port of its own for each request: from one moment on most attempts are never answered."""
    await net.nft("table inet silent { chain input { type filter hook input priority 0; udp dport 8125 drop; }; }\n", where="outside")
    send = net.socket

    def count():
        with send("host", socket.SOCK_DGRAM, HOST) as made:
            made.sendto(b"requests:1|c", (server(7), 8125))

    await together(net, web(net, 8), (lambda now: 25 if now > 0.4 * net.seconds else 0, count))


async def ipv6_web(net):
    """Privacy addresses: hardly any source comes twice."""
    net.serve_tcp("host", 443, "::")
    await together(net, (12, lambda: net.tcp("outside", some(client6, 50_000), HOST6, 443, hold=random.choice((0, 2, 10)))), web(net, 4), noise(net, 4))


async def rate_limited_dns(net):
    """Three of the clients ask a little more than the rule lets through, as they always have."""
    net.serve_udp("host", 53)
    await together(net, (30, lambda: net.ask("outside", some(client, 60), HOST, 53)), (36, lambda: net.ask("outside", some(client, 3, 100), HOST, 53)))


async def connections_limited(net):
    """A browser that opens more than a rule allows is refused the last of them, for a second, and comes again when its page was read."""
    net.serve_tcp("host", 443)
    browsers = itertools.cycle(range(30))

    async def page():
        source = client(next(browsers))
        for _ in range(18):
            net.spawn(net.tcp("outside", source, HOST, 443, hold=1, patience=1))

    await together(net, (0.7, page))


async def no_firewall(net):
    """Strangers are told by the host itself that nothing listens."""
    await together(net, web(net), noise(net, 12))


async def mobile_clients(net):
    """Who walks out of reach asks, and never hears the answer: half-open until the host gives up."""
    raw = net.raw()
    await together(net, web(net, 10, 500), (lambda now: 3 if now > net.seconds / 2 else 1, lambda: raw.tcp(some(forged, 500), random.randrange(1024, 65_535), HOST, 443)))


async def gateway_with_a_blocklist(net):
    """Advertisers and trackers are dropped, QUIC and mail are refused: every browser tries them all day."""
    net.serve_tcp("outside", 443)

    async def page():
        source = some(member, 30)
        await net.tcp("inside", source, some(server, 20), 443, hold=random.choice((0.2, 1, 5)))
        for _ in range(random.randrange(3)):
            if random.random() < 0.4:
                net.spawn(net.tcp("inside", source, some(server, 20, 300), 443, patience=8))
        if random.random() < 0.5:
            net.spawn(net.ask("inside", source, some(server, 20), 443, patience=0.5))
        if random.random() < 0.02:
            net.spawn(net.tcp("inside", source, some(server, 5), 25, patience=3))

    await together(net, (5, page))


async def ssh_limited_per_source(net):
    """More than some new connections a minute of one source are dropped, and its next try is let in."""
    net.serve_tcp("host", 22)

    async def deploys():
        source = some(client, 12)
        for _ in range(random.choice((1, 2, 12))):
            await net.tcp("outside", source, HOST, 22, hold=0.3, patience=3)

    await together(net, web(net), (0.25, deploys), noise(net, 4))


async def one_ban_a_rule(net):
    """As fail2ban does with iptables: a rule for each, and some time later it goes."""
    for rule in ("-N f2b-sshd", "-A f2b-sshd -j RETURN", "-I INPUT 1 -p tcp -m multiport --dports 22 -j f2b-sshd"):
        await net.run("iptables-nft", *rule.split())
    rule = "f2b-sshd -s {} -j REJECT --reject-with icmp-port-unreachable"
    await ssh_with_bans(net, lambda source: "iptables-nft -I " + rule.format(source), lambda source: "iptables-nft -D " + rule.format(source))


async def guests_may_not_see_the_office(net):
    """Phones in the guest network look for printers and televisions of the office, which a rule forbids."""
    net.serve_tcp("outside", 443)

    async def phone():
        source = some(member, 40, 500)
        await net.tcp("inside", source, some(server, 20), 443, hold=1)
        if random.random() < 0.3:
            await net.tcp("inside", source, GATEWAY, random.choice((443, 631, 8009)), patience=3)

    await together(net, (6, phone), (3, lambda: net.tcp("inside", some(member, 20), some(server, 20), 443, hold=2)))


def accepted(*ports, protocol="tcp"):
    return f"{protocol} dport {{ {', '.join(map(str, ports))} }} accept"


WEB = accepted(443)
BLOCKLIST = """table inet filter {
  set advertisers { type ipv4_addr; flags interval; elements = { 21.0.2.0/24 }; }
  chain forward { type filter hook forward priority 0;
    ct state established,related accept
    ct state invalid drop
    ip daddr @advertisers drop
    udp dport 443 reject
    tcp dport 25 reject
  }
}
"""
GUESTS = """table inet filter {
  chain input { type filter hook input priority 0; policy drop;
    iifname "lo" accept
    ct state established,related accept
    iifname "mgmt" accept
    meta l4proto { icmp, ipv6-icmp } accept
    ip saddr 10.0.0.0/23 tcp dport { 443, 631 } accept
    ip saddr 10.0.0.0/8 tcp dport { 443, 631, 8009 } drop
  }
}
"""


def healthy_hosts(seconds):
    return [
        Host("log_sink", log_sink, default_deny(accepted(514, 8125, 2055, protocol="udp"))),
        Host("bittorrent", bittorrent, TRACKING + MASQUERADE, gateway=True),
        Host("blackbox_prober", blackbox_prober),
        Host("dns_resolver", dns_resolver, default_deny(accepted(53, protocol="udp"))),
        Host("dns_authoritative", dns_authoritative, default_deny(accepted(53), accepted(53, protocol="udp"))),
        Host("load_balancer", load_balancer, default_deny(WEB)),
        Host("forward_proxy", forward_proxy, default_deny(accepted(3128))),
        Host("morning_ramp", morning_ramp),
        Host("balancer_warms_up", balancer_warms_up),
        Host("internet_noise", internet_noise, default_deny(WEB)),
        Host("banned_bots", banned_bots, default_deny("ip saddr @banned counter drop", WEB, more=BANS % "22.0.1.0-22.0.1.59")),
        Host("fail2ban", fail2ban, default_deny("tcp dport 22 ip saddr @banned reject", accepted(22, 443), more="set banned { type ipv4_addr; }")),
        Host("pod_waits_for_rollout", pod_waits_for_rollout, gateway=True),
        Host("one_ban_a_rule", one_ban_a_rule, default_deny(accepted(22, 443))),
        Host("ssh_limited_per_source", ssh_limited_per_source,
             default_deny("tcp dport 22 ct state new meter sshs { ip saddr limit rate over 6/minute burst 5 packets } drop", accepted(22, 443))),
        Host("gateway_with_a_blocklist", gateway_with_a_blocklist, BLOCKLIST + MASQUERADE, gateway=True),
        Host("guests_may_not_see_the_office", guests_may_not_see_the_office, GUESTS + MASQUERADE, gateway=True),
        Host("mail_with_greylisting", mail_with_greylisting, default_deny(accepted(25))),
        Host("game_server", game_server, default_deny(accepted(27_015, protocol="udp"))),
        Host("vpn_concentrator", vpn_concentrator, default_deny(accepted(51_820, protocol="udp")) + MASQUERADE, gateway=True),
        Host("kubernetes_rollout", kubernetes_rollout, gateway=True),
        Host("ci_runner", ci_runner, TRACKING + MASQUERADE, gateway=True),
        Host("backup_window", backup_window, default_deny(accepted(443, 873))),
        Host("carrier_nat", carrier_nat, TRACKING + MASQUERADE, gateway=True),
        Host("iot_fleet", iot_fleet, default_deny(accepted(8883), accepted(123, protocol="udp"))),
        Host("ntp_pool", ntp_pool, default_deny(accepted(123, protocol="udp"))),
        Host("log_collector", log_collector),
        Host("cron_peaks", cron_peaks),
        Host("deploy_restarts_everything", deploy_restarts_everything),
        Host("a_service_restarts", a_service_restarts),
        Host("monitoring_begins_later", monitoring_begins_later, gateway=True),
        Host("daemon_starts_late", daemon_starts_late, default_deny(WEB, accepted(53, protocol="udp")), late=True,
             events=[(min(0.25 * seconds, 60), lambda host: host.daemon.start())]),
        Host("just_booted", just_booted, default_deny(WEB)),
        Host("crawler", crawler),
        Host("lan_chatter", lan_chatter, default_deny(accepted(445), accepted(67, protocol="udp"))),
        Host("late_packets", late_packets, default_deny("ct state invalid counter drop", WEB)),
        Host("loopback_application", loopback_application),
        Host("firewall_reloads", firewall_reloads, default_deny(WEB)),
        Host("telephone_exchange", telephone_exchange, default_deny(accepted(5060, "10000-10400", protocol="udp"))),
        Host("office_behind_one_address", office_behind_one_address, default_deny(WEB)),
        Host("new_version_sends_statsd", new_version_sends_statsd),
        Host("ipv6_web", ipv6_web, default_deny(WEB)),
        Host("rate_limited_dns", rate_limited_dns, default_deny("udp dport 53 meter asked { ip saddr limit rate over 10/second burst 20 packets } counter drop",
                                                                accepted(53, protocol="udp"))),
        Host("connections_limited", connections_limited, default_deny("tcp dport 443 meter browsers { ip saddr ct count over 16 } counter reject with tcp reset", WEB)),
        Host("no_firewall", no_firewall),
        Host("mobile_clients", mobile_clients, default_deny(WEB)),
        Host("closed_port", closed_port, default_deny(accepted(443, 8443))),
    ]
