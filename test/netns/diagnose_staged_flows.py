"""Faults of what follows a connection's first packet: packets in its midst, answers, ICMP that belongs to it, entries that lead elsewhere."""

import socket
import threading

from diagnose_staged_ways import THROUGH, WATCH, WEB, iptables, knocks, opens
from diagnosis import *

FORWARD = "table inet f {{ chain forward {{ type filter hook forward priority 0; policy drop; ct state established,related accept; {} tcp dport 80 ct state new accept; }} }}"
INPUT = "table inet f {{ chain input {{ type filter hook input priority 0; policy drop; iif lo accept; {} }} }}"


def serves(stage, namespace, port=80, size=0, family="0.0.0.0"):
    """Accepts and reads, and first sends as many bytes as are wanted."""
    listener = stage.listen(namespace, port, family)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                taken, _ = listener.accept()
                stage.callback(taken.close)
                threading.Thread(target=talk, args=(taken,), daemon=True).start()

    def talk(taken):
        with contextlib.suppress(OSError):
            if size:
                taken.sendall(b"x" * size)
            while taken.recv(4096):
                taken.sendall(b"y")

    threading.Thread(target=serve, daemon=True).start()


def idles(client, address, port, pause, more=b"more"):
    """Connects, is silent for a while, and goes on."""
    connection = client.connect(address, port)
    connection.settimeout(1.5)
    time.sleep(pause)
    with contextlib.suppress(OSError):
        connection.sendall(more)
        connection.recv(10)
    connection.close()


@fault("drop-rule")
def entry_expired_before_the_peers_went_on(stage):
    gateway, client, server = stage.gateway(FORWARD.format("tcp flags & (fin | syn | rst | ack) != syn ct state new counter drop;"))
    gateway.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", 1)
    serves(stage, server)
    stage.meanwhile(lambda: idles(client, "10.0.1.2", 80, 2))
    stage.arguments = THROUGH + ["--observe", "4s"]
    stage.expected_texts = ["nf_conntrack_tcp_timeout_established"]
    return gateway


@fault("drop-rule")
def entry_expired_before_a_host_of_its_own(stage):
    host, client = stage.pair(INPUT.format("ct state established accept; tcp flags & (syn | ack) == ack ct state new counter drop; tcp dport 80 accept;"))
    host.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", 1)
    serves(stage, host)
    stage.meanwhile(lambda: idles(client, "10.0.0.1", 80, 2))
    stage.arguments = WEB + ["--observe", "4s"]
    return host


def failed_over(stage, rules):
    """The connection is older than what this gateway knows, as after a fail-over."""
    gateway, client, server = stage.gateway(rules)
    gateway.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    serves(stage, server)
    held = stage.hold(client, "10.0.1.2", 80)
    held.settimeout(1.5)
    gateway.run("conntrack", "-D", "-p", "tcp")

    def go_on():
        held.sendall(b"more")
        held.recv(9)

    stage.meanwhile(go_on)
    stage.arguments = THROUGH + ["--observe", "2500ms"]
    return gateway


@fault("drop-rule", "invalid-packets")
def fail_over_with_strict_tracking(stage):
    return failed_over(stage, FORWARD.format("ct state invalid counter drop;"))


@fault("drop-policy", "invalid-packets")
def fail_over_with_strict_tracking_and_a_policy(stage):
    return failed_over(stage, FORWARD.format(""))


@fault("drop-rule", "invalid-packets")
def half_of_the_path_is_seen(stage):
    gateway, client, server = stage.gateway("table inet f { chain f { type filter hook forward priority 0; ct state invalid counter drop; } }")
    veth(server, "eth9", ["10.9.0.1/24"], client, "eth9", ["10.9.0.2/24"])
    for each in (client, server):
        each.sysctl("net.ipv4.conf.all.rp_filter", 0)
        each.sysctl("net.ipv4.conf.eth9.rp_filter", 0)
        each.sysctl("net.ipv4.conf.eth0.rp_filter", 0)
    server.ip("route", "add", "10.0.0.2/32", "via", "10.9.0.2")
    serves(stage, server)
    stage.meanwhile(lambda: idles(client, "10.0.1.2", 80, 0.1))
    stage.arguments = THROUGH + ["--observe", "2500ms"]
    return gateway


@fault("established-not-accepted")
def third_packet_of_the_handshake_is_dropped(stage):
    host, client = stage.pair(INPUT.format("tcp dport 80 ct state new accept;"))
    stage.listen(host, 80)
    stage.arguments = WEB
    return host


@fault("established-not-accepted")
def answers_of_the_server_are_not_forwarded(stage):
    gateway, client, server = stage.gateway("table inet f { chain f { type filter hook forward priority 0; policy drop; iifname eth0 accept; } }")
    stage.listen(server, 80)
    stage.arguments = THROUGH
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("established-not-accepted")
def answers_are_untracked(stage):
    host, client = stage.pair(INPUT.format("ct state vmap { established : accept, related : accept, invalid : drop };")
                              + "table inet r { chain o { type filter hook output priority raw; udp dport 53 notrack; }\nchain p { type filter hook prerouting priority raw; udp sport 53 notrack; } }")
    answers = stage.listen(client, 53, kind=socket.SOCK_DGRAM)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                data, address = answers.recvfrom(99)
                answers.sendto(data, address)

    threading.Thread(target=serve, daemon=True).start()

    def is_answered():
        with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
            asks.settimeout(1)
            asks.sendto(b"q", ("10.0.0.2", 53))
            return asks.recv(9) == b"q"

    stage.arguments = ["--destination", "10.0.0.2", "--dport", "53", "--protocol", "udp"]
    stage.cure = is_answered
    return host


@fault("drop-rule", "established-not-accepted")
def data_packets_are_too_long_for_a_rule(stage):
    host, client = stage.pair()
    iptables(host, "-A INPUT -p tcp --dport 80 -m length --length 200:65535 -j DROP")
    serves(stage, host)
    stage.meanwhile(lambda: idles(client, "10.0.0.1", 80, 0.1, b"x" * 500))
    stage.arguments = WEB + ["--observe", "2500ms"]
    return host


@fault("drop-rule", "established-not-accepted")
def a_word_in_the_data_is_dropped(stage):
    host, client = stage.pair()
    iptables(host, "-A INPUT -p tcp --dport 80 -m string --algo bm --string GET -j DROP")
    serves(stage, host)
    stage.meanwhile(lambda: idles(client, "10.0.0.1", 80, 0.1, b"GET /"))
    stage.arguments = WEB + ["--observe", "2500ms"]
    return host


@fault("drop-rule", "established-not-accepted")
def connections_are_cut_after_so_many_bytes(stage):
    host, client = stage.pair(TRACK)
    host.sysctl("net.netfilter.nf_conntrack_acct", 1)
    iptables(host, "-A INPUT -p tcp --dport 80 -m connbytes --connbytes 1000: --connbytes-dir both --connbytes-mode bytes -j DROP")
    serves(stage, host, size=5000)
    stage.meanwhile(lambda: idles(client, "10.0.0.1", 80, 0.1, b"x" * 5000))
    stage.arguments = WEB + ["--observe", "2500ms"]
    return host


def narrow_path(stage, server_rules):
    """server (diagnosed) -- router -- client, and the router's link to the client takes 1,000 bytes."""
    router, client, server = stage.gateway()
    server.nft(on_lines(server_rules))
    router.ip("link", "set", "eth0", "mtu", "1280")
    serves(stage, server, size=20_000, family="::")
    return router, client, server


def asks_for_much(client, address):
    connection = client.connect(address, 80)
    connection.settimeout(1.5)
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass
    connection.close()


@fault("related-dropped")
def fragmentation_needed_is_dropped(stage):
    router, client, server = narrow_path(stage, INPUT.format("ct state established accept; tcp dport 80 accept;"))
    stage.meanwhile(lambda: asks_for_much(client, "10.0.1.2"))
    stage.arguments = ["--source", "10.0.0.2", "--dport", "80", "--observe", "2500ms"]
    stage.expected_texts = ["fragmentation needed"]
    return server


@fault("related-dropped")
def packet_too_big_is_dropped(stage):
    router, client, server = narrow_path(stage, INPUT.format("icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; ct state established accept; tcp dport 80 accept;"))
    stage.meanwhile(lambda: asks_for_much(client, "2001:db8:1::2"))
    stage.arguments = ["--source", "2001:db8::2", "--dport", "80", "--observe", "2500ms"]
    return server


@fault("related-dropped")
def gateway_may_not_say_that_packets_are_too_long(stage):
    gateway, client, server = stage.gateway("table inet f { chain o { type filter hook output priority 0; meta l4proto icmp counter drop; } }")
    gateway.ip("link", "set", "eth0", "mtu", "1280")
    serves(stage, server, size=20_000)
    stage.meanwhile(lambda: asks_for_much(client, "10.0.1.2"))
    stage.arguments = THROUGH + ["--observe", "2500ms"]
    return gateway


@fault("related-dropped")
def all_icmp_is_dropped_before_established(stage):
    router, client, server = narrow_path(stage, INPUT.format("meta l4proto icmp counter drop; ct state established,related accept; tcp dport 80 accept;"))
    asks_for_much(client, "10.0.1.2")
    stage.arguments = ["--source", "10.0.0.2", "--dport", "80"]
    return server


def asks_again(client, port=53, source_port=5353, times=5):
    with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        asks.bind(("10.0.0.2", source_port))
        for _ in range(times):
            with contextlib.suppress(OSError):
                asks.sendto(b"q", ("10.0.0.1", port))
            time.sleep(0.1)


UDP = ["--source", "10.0.0.2", "--dport", "53", "--protocol", "udp"]


@fault("stale-entry")
def udp_entry_leads_to_the_old_server(stage):
    gateway, client, server = stage.gateway("table ip n { chain p { type nat hook prerouting priority dstnat; udp dport 53 dnat to 10.0.1.9; } }" + TRACK)
    asks_again(client)
    gateway.run("nft", "flush", "chain", "ip", "n", "p")
    gateway.run("nft", "add", "rule", "ip", "n", "p", "udp", "dport", "53", "dnat", "to", "10.0.1.2")
    stage.meanwhile(lambda: asks_again(client))
    stage.arguments = UDP + WATCH
    stage.expected_texts = ["conntrack -D", "10.0.1.9"]
    return gateway


@fault("stale-entry")
def udp_entry_is_older_than_the_translation(stage):
    gateway, client, server = stage.gateway("table ip n { chain p { type nat hook prerouting priority dstnat; } }" + TRACK)
    stage.listen(gateway, 53, kind=socket.SOCK_DGRAM)
    asks_again(client)
    gateway.run("nft", "add", "rule", "ip", "n", "p", "udp", "dport", "53", "dnat", "to", "10.0.1.2")
    stage.arguments = UDP
    return gateway


@fault("stale-entry")
def udp_entry_is_older_than_the_masquerade(stage):
    gateway, client, server = stage.gateway("table ip n { chain p { type nat hook postrouting priority srcnat; } }" + TRACK)
    with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        asks.bind(("10.0.0.2", 5353))
        asks.sendto(b"q", ("10.0.1.2", 53))
    gateway.run("nft", "add", "rule", "ip", "n", "p", "oifname", "eth1", "masquerade")
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.1.2", "--dport", "53", "--protocol", "udp"]
    return gateway


@fault("drop-rule")
def dropped_behind_source_translation(stage):
    gateway, client, server = stage.gateway("table ip n { chain post { type nat hook postrouting priority srcnat; oifname eth1 masquerade; }\nchain late { type filter hook postrouting priority 300; tcp dport 80 counter drop; } }")
    stage.listen(server, 80)
    stage.arguments = THROUGH
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("drop-rule", "dnat-not-forwarded")
def dropped_by_the_port_that_was_asked_first(stage):
    gateway, client, server = stage.gateway("table ip n { chain p { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to 10.0.1.2:80; }\nchain f { type filter hook forward priority 0; meta l4proto tcp ct original proto-dst 8080 counter drop; } }")
    stage.listen(server, 80)
    stage.meanwhile(lambda: knocks(client, "10.0.0.1", 8080))
    stage.arguments = ["--source", "10.0.0.2", "--dport", "8080", *WATCH]
    return gateway
