"""Faults beyond the rules: hosts to which rules translate, addresses that nobody has, answers that leave by another link, programs at queues,
IPsec's policies."""

import socket

from diagnose_staged_ways import THROUGH, WATCH, WEB, iptables, knocks, opens, other_way_back
from diagnosis import *
from namespaces import veth, wait_until

FRONT = ["--source", "10.0.0.2", "--destination", "10.0.0.1", "--dport", "80"]


def translated(stage, to="10.0.1.2", port=80):
    """The gateway's port 80 leads to a host behind it."""
    gateway, client, server = stage.gateway()
    iptables(gateway, f"-t nat -A PREROUTING -d 10.0.0.1 -p tcp --dport 80 -j DNAT --to-destination {to}:{port}")
    stage.arguments = list(FRONT)
    return gateway, client, server


@fault("no-route")
def dnat_to_a_host_that_is_down(stage):
    gateway, client, server = translated(stage, "10.0.1.9")
    knocks(client, times=1)
    wait_until(lambda: "FAILED" in gateway.run("ip", "neigh").stdout, 10, "the neighbour does not answer")
    stage.expected_texts = ["10.0.1.9", "DNAT"]
    return gateway


@fault("no-route")
def dnat_to_where_no_route_leads(stage):
    gateway, client, server = translated(stage, "192.0.2.9")
    stage.expected_texts = ["192.0.2.9"]
    return gateway


@fault("no-listener")
def dnat_to_a_port_where_nobody_listens(stage):
    gateway, client, server = translated(stage, port=8080)
    stage.listen(server, 80)
    stage.meanwhile(lambda: knocks(client))
    stage.arguments += WATCH
    stage.expected_texts = ["10.0.1.2 port 8080"]
    return gateway


@healthy
def dnat_to_a_host_that_answers(stage):
    gateway, client, server = translated(stage, port=8080)
    stage.listen(server, 8080)
    stage.meanwhile(lambda: knocks(client))
    stage.arguments += WATCH
    return gateway


@fault("no-route")
def answers_leave_by_another_link(stage):
    gateway, client = other_way_back(stage)
    stage.meanwhile(lambda: knocks_patiently(client))
    stage.arguments += ["--observe", "4s"]
    stage.expected_texts = ["eth0", "eth1"]
    return gateway


@healthy
def answers_that_leave_by_another_link_and_get_there(stage):
    gateway, client, server = stage.gateway()
    veth(client, "eth1", ["10.0.2.2/24"], server, "eth1", ["10.0.2.1/24"])
    client.ip("addr", "add", "10.7.0.2/32", "dev", "lo")
    for each, way in ((gateway, "10.0.1.2"), (server, "10.0.2.2")):
        each.ip("route", "add", "10.7.0.0/24", "via", way)
    for each in (client, server):
        each.sysctl("net.ipv4.ip_forward", 1)
        each.sysctl("net.ipv4.conf.eth1.rp_filter", 0)
    stage.listen(gateway, 80)
    stage.meanwhile(lambda: knocks(client, source="10.7.0.2"))
    stage.arguments = ["--source", "10.7.0.2", "--dport", "80", *WATCH]
    return gateway


def knocks_patiently(client):
    """One attempt, with its retransmissions."""
    sock = client.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(3.5)
    sock.bind(("10.7.0.2", 0))
    with contextlib.suppress(OSError):
        sock.connect(("10.0.0.1", 80))
    sock.close()


@fault("drop-rule")
def the_program_at_the_queue_hangs(stage):
    host, client = stage.pair()
    iptables(host, "-A INPUT -p tcp --dport 80 -j NFQUEUE --queue-num 7 --queue-bypass")
    stage.listen(host, 80)
    stage.callback(holds_a_queue(host, 7).close)
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    stage.expected_texts = ["does not decide", "queue 7"]
    return host


def holds_a_queue(namespace, number):
    """A program that listens at a queue, and never decides."""
    netlink = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    netlink.bind((0, 0))
    for kind, payload in ((1, struct.pack("!BxH", 1, 0)), (2, struct.pack("!IB", 0xFFFF, 2))):  # bind; copy whole packets
        attribute = struct.pack("=HH", 4 + len(payload), kind) + payload
        attribute += bytes(-len(attribute) % 4)
        body = struct.pack("!BBH", 0, 0, number) + attribute
        netlink.send(struct.pack("=IHHII", 16 + len(body), (3 << 8) | 2, 1 | 4, 1, 0) + body)
        answer = netlink.recv(4096)
        assert struct.unpack("=i", answer[16:20])[0] == 0, answer
    return netlink


@fault("drop-rule")
def ipsec_blocks_what_goes_out(stage):
    host, client = stage.pair()
    stage.listen(host, 80)
    host.ip("xfrm", "policy", "add", "src", "10.0.0.1", "dst", "10.0.0.2", "dir", "out", "action", "block")
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    stage.expected_texts = ["XfrmOutPolBlock", "ip xfrm policy"]
    return host


@fault("drop-rule")
def ipsec_wants_what_comes_in_encrypted(stage):
    host, client = stage.pair()
    stage.listen(host, 80)
    host.ip("xfrm", "policy", "add", "src", "10.0.0.2", "dst", "10.0.0.1", "dir", "in", "tmpl", "src", "10.0.0.2", "dst", "10.0.0.1", "proto", "esp", "mode", "transport")
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    return host


@fault("no-masquerade")
def snat_to_an_address_that_nobody_has(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-t nat -A POSTROUTING -o eth1 -j SNAT --to-source 203.0.113.9")
    stage.listen(server, 80)
    server.ip("route", "del", "default")
    knocks(client, "10.0.1.2", times=2)
    stage.arguments = THROUGH
    stage.expected_texts = ["203.0.113.9"]
    return gateway


@healthy
def snat_to_a_pool_that_is_routed_here(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-t nat -A POSTROUTING -o eth1 -j SNAT --to-source 203.0.113.9")
    stage.listen(server, 80)
    stage.hold(client, "10.0.1.2", 80)
    stage.arguments = THROUGH
    return gateway


@fault("drop-rule")
def time_to_live_ends_here(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.listen(server, 80)
    client.sysctl("net.ipv4.ip_default_ttl", 1)
    stage.meanwhile(lambda: knocks(client, "10.0.1.2"))
    stage.arguments = THROUGH + WATCH
    stage.expected_texts = ["time to live", "InHdrErrors"]
    return gateway


@healthy
def traceroute_beside_what_works(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.listen(server, 80)

    def traced():
        probe = client.socket(socket.AF_INET, socket.SOCK_DGRAM)
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        for port in range(33434, 33440):
            probe.sendto(b"x", ("10.0.1.2", port))
        probe.close()
        knocks(client, "10.0.1.2")

    stage.meanwhile(traced)
    stage.arguments = THROUGH + WATCH
    return gateway


@fault("no-route")
def blackhole_of_a_whole_network(stage):
    gateway, client, server = stage.gateway(TRACK)
    gateway.ip("route", "add", "blackhole", "10.0.0.2/31")
    stage.arguments = THROUGH
    stage.expected_texts = ["it covers more than was asked about"]
    return gateway


@fault("no-route")
def two_blackholes_of_one_address(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.listen(server, 80)
    for kind, metric in (("blackhole", "5"), ("unreachable", "50")):
        gateway.ip("route", "add", kind, "10.0.1.2/32", "metric", metric)
    stage.arguments = THROUGH
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("no-route")
def prohibit_of_a_network_by_a_rule(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.listen(server, 80)
    gateway.ip("rule", "add", "from", "10.0.0.0/24", "to", "10.0.1.0/24", "priority", "100", "prohibit")
    stage.arguments = THROUGH
    stage.expected_texts = ["from 10.0.0.2/32 to 10.0.1.2/32 priority 99 goto"]
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("drop-rule")
def drop_ahead_of_a_mark_that_routing_needs(stage):
    gateway, client, server = stage.gateway("""table inet m { chain p { type filter hook prerouting priority mangle;
        tcp dport 80 counter drop; iifname eth0 meta mark set 7; } }""")
    stage.listen(server, 80)
    stage.meanwhile(lambda: knocks(client, "10.0.1.2"))
    stage.arguments = THROUGH + WATCH
    stage.expected_texts = ["translate or mark"]
    return gateway


@fault("established-not-accepted")
def policy_drops_answers_to_the_asked_and_others(stage):
    host, client = stage.pair("table inet f { chain o { type filter hook output priority 0; policy drop; ct state invalid counter; oifname lo accept; } }")
    stage.listen(host, 80)
    stage.arguments = WEB
    stage.expected_texts = ["ip daddr 10.0.0.2 ct state"]
    stage.cure = opens(client)
    return host


@healthy
def port_rewritten_without_conntrack(stage):
    host, client = stage.pair("""table inet f { chain p { type filter hook prerouting priority raw; tcp dport 8088 tcp dport set 80; }
        chain o { type filter hook output priority raw; tcp sport 80 ip daddr 10.0.0.2 tcp sport set 8088; }
        chain i { type filter hook input priority 0; policy drop; tcp dport 80 accept; } }""")
    stage.listen(host, 80)
    knocks(client, port=8088)
    stage.arguments = ["--source", "10.0.0.2", "--dport", "8088"]
    return host


@healthy
def own_questions_by_a_link_that_masquerades(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-t nat -A POSTROUTING -o eth1 -j MASQUERADE")
    name_server = server.socket(socket.AF_INET, socket.SOCK_DGRAM)
    name_server.bind(("10.0.1.2", 53))
    asks = gateway.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asks.connect(("10.0.1.2", 53))
    asks.send(b"who")
    name_server.sendto(b"me", name_server.recvfrom(9)[1])
    asks.recv(9)
    stage.callback(asks.close)
    stage.callback(name_server.close)
    stage.arguments = ["--source", "10.0.1.1", "--destination", "10.0.1.2", "--dport", "53", "--protocol", "udp"]
    return gateway


@fault("drop-rule")
def protocol_and_port_side_by_side_in_a_set(stage):
    host, client = stage.pair("table inet f { chain i { type filter hook input priority 0; meta l4proto . th dport { tcp . 80, tcp . 100-500 } counter drop; } }")
    stage.listen(host, 80)
    knocks(client)
    stage.arguments = WEB
    stage.cure = opens(client)
    return host


@healthy
def a_value_of_a_tcp_option_and_udp(stage):
    host, client = stage.pair("table inet f { chain i { type filter hook input priority 0; tcp option maxseg size > 1500 drop; udp dport 53 accept; } }")
    name_server = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    name_server.bind(("10.0.0.1", 53))
    stage.callback(name_server.close)
    stage.arguments = ["--source", "10.0.0.2", "--dport", "53", "--protocol", "udp"]
    return host
