"""Hosts on which the traffic that is asked about passes: nobody may be accused, whatever else their firewalls drop meanwhile."""

import socket

from diagnose_staged_flows import FORWARD, INPUT, asks_again, asks_for_much, idles, narrow_path, serves
from diagnose_staged_ways import THROUGH, WATCH, WEB, bridged, iptables, knocks
from diagnosis import *


def works(client, address="10.0.0.1", port=80):
    assert try_to_connect(client, address, port) is None, f"{address} port {port} does not answer"


@healthy
def synproxy_answers_first(stage):
    host, client = stage.pair("table inet f { chain pre { type filter hook prerouting priority raw; iifname eth0 tcp dport 80 tcp flags syn notrack; }\n"
                              "chain input { type filter hook input priority 0; policy drop; iif lo accept; tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm; ct state established,related accept; } }")
    host.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    stage.listen(host, 80)
    works(client)
    stage.arguments = WEB
    return host


@healthy
def iptables_synproxy(stage):
    host, client = stage.pair()
    host.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    iptables(host, "-t raw -A PREROUTING -p tcp --syn --dport 80 -j CT --notrack", "-A INPUT -p tcp --dport 80 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --mss 1460 --wscale 7 --timestamp --sack-perm",
             "-A INPUT -m conntrack --ctstate INVALID -j DROP", "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-P INPUT DROP")
    stage.listen(host, 80)
    works(client)
    stage.arguments = WEB
    return host


@healthy
def guests_on_a_bridge(stage):
    host, one, other = bridged(stage)
    works(one, "10.0.0.3")
    return host


@healthy
def guests_on_a_bridge_with_ip_rules(stage):
    host, one, other = bridged(stage, FORWARD.format(""), 1)
    works(one, "10.0.0.3")
    return host


@healthy
def guests_on_a_bridge_past_a_policy(stage):
    host, one, other = bridged(stage, "table ip f { chain f { type filter hook forward priority 0; policy drop; } }", 0)
    works(one, "10.0.0.3")
    return host


@healthy
def scan_beside_the_asked_traffic(stage):
    host, client = stage.pair(INPUT.format("ct state established,related accept; tcp dport 80 accept; counter drop;"))
    stage.listen(host, 80)
    client.ip("addr", "add", "10.0.0.66/24", "dev", "eth0")
    works(client)
    stage.meanwhile(lambda: [raw_tcp(client, [("10.0.0.66", 3000, "10.0.0.1", port, SYN) for port in range(1000, 1300)]), try_to_connect(client, "10.0.0.1", 80)])
    stage.arguments = WEB + WATCH
    return host


@healthy
def scan_of_the_asked_source_itself(stage):
    host, client = stage.pair(INPUT.format("ct state established,related accept; tcp dport 80 accept;"))
    stage.listen(host, 80)
    stage.meanwhile(lambda: [knocks(client, port=8000 + i, times=1) for i in range(3)] + [try_to_connect(client, "10.0.0.1", 80)])
    stage.arguments = WEB + WATCH
    return host


@healthy
def strays_that_conntrack_finds_invalid(stage):
    host, client = stage.pair(INPUT.format("ct state invalid counter drop; ct state established,related accept; tcp dport 80 accept;"))
    serves(stage, host)
    stage.meanwhile(lambda: [raw_tcp(client, [("10.0.0.2", 4000 + i, "10.0.0.1", 80, RST) for i in range(9)]), idles(client, "10.0.0.1", 80, 0.1)])
    stage.arguments = WEB + WATCH
    return host


@healthy
def chatter_to_all(stage):
    host, client = stage.pair(INPUT.format("ct state established,related accept; meta l4proto ipv6-icmp accept; tcp dport 80 accept; counter drop;"))
    stage.listen(host, 80)

    def chatter():
        with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.bind(("10.0.0.2", 0))
            for _ in range(20):
                sender.sendto(b"x", ("10.0.0.255", 137))
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.0.0.2"))
                sender.sendto(b"x", ("224.0.0.251", 5353))
        works(client)

    stage.meanwhile(chatter)
    stage.arguments = WEB + WATCH
    return host


@healthy
def queue_that_may_be_bypassed(stage):
    host, client = stage.pair()
    iptables(host, "-A INPUT -p tcp --dport 80 -j NFQUEUE --queue-num 7 --queue-bypass")
    stage.listen(host, 80)
    works(client)
    stage.arguments = WEB
    return host


@healthy
def reverse_path_rules_where_ways_agree(stage):
    gateway, client, server = stage.gateway("table inet f { chain p { type filter hook prerouting priority raw; fib saddr . iif oif missing counter drop; } }")
    iptables(gateway, "-t raw -A PREROUTING -m rpfilter --invert -j DROP")
    stage.listen(server, 80)
    works(client, "10.0.1.2")
    stage.arguments = THROUGH
    return gateway


@healthy
def policy_routing_that_leads_on(stage):
    gateway, client, server = stage.gateway(TRACK)
    gateway.ip("route", "add", "10.0.1.0/24", "dev", "eth1", "table", "100")
    gateway.ip("route", "add", "blackhole", "default", "table", "100", "metric", "9")
    gateway.ip("rule", "add", "iif", "eth0", "lookup", "100")
    stage.listen(server, 80)
    works(client, "10.0.1.2")
    stage.arguments = THROUGH
    return gateway


@healthy
def private_networks_end_in_a_blackhole(stage):
    gateway, client, server = stage.gateway(TRACK)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"):
        gateway.ip("route", "add", "blackhole", network)
    stage.listen(server, 80)
    works(client, "10.0.1.2")
    stage.arguments = THROUGH
    return gateway


@healthy
def related_is_accepted_on_a_narrow_path(stage):
    router, client, server = narrow_path(stage, INPUT.format("ct state established,related accept; tcp dport 80 accept;"))
    stage.meanwhile(lambda: asks_for_much(client, "10.0.1.2"))
    stage.arguments = ["--source", "10.0.0.2", "--dport", "80", *WATCH]
    return server


@healthy
def related_is_not_accepted_and_not_needed(stage):
    host, client = stage.pair(INPUT.format("ct state established accept; tcp dport 80 accept;"))
    serves(stage, host, size=20_000)
    stage.meanwhile(lambda: asks_for_much(client, "10.0.0.1"))
    stage.arguments = WEB + WATCH
    return host


@healthy
def untracked_both_ways(stage):
    host, client = stage.pair(INPUT.format("ct state established,related accept; ct state untracked tcp dport 80 accept;")
                              + "table inet r { chain p { type filter hook prerouting priority raw; tcp dport 80 notrack; }\nchain o { type filter hook output priority raw; tcp sport 80 notrack; } }")
    stage.listen(host, 80)
    works(client)
    stage.arguments = WEB
    return host


@healthy
def entries_that_agree_with_the_rules(stage):
    gateway, client, server = stage.gateway("table ip n { chain p { type nat hook prerouting priority dstnat; udp dport 53 dnat to 10.0.1.2; }\nchain q { type nat hook postrouting priority srcnat; oifname eth1 masquerade; } }" + TRACK)
    stage.listen(server, 53, kind=socket.SOCK_DGRAM)
    asks_again(client)
    stage.arguments = ["--source", "10.0.0.2", "--dport", "53", "--protocol", "udp"]
    return gateway


@healthy
def limits_with_room(stage):
    host, client = stage.pair()
    iptables(host, "-P INPUT DROP", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -p tcp --dport 80 -m recent --set --name w",
             "-A INPUT -p tcp --dport 80 -m recent --update --seconds 60 --hitcount 15 --name w -j DROP", "-A INPUT -p tcp --dport 80 -m hashlimit --hashlimit-above 50/sec --hashlimit-mode srcip --hashlimit-name h -j DROP",
             "-A INPUT -p tcp --dport 80 -j ACCEPT")
    stage.listen(host, 80)
    works(client)
    stage.arguments = WEB
    return host


@healthy
def loopback_is_accepted(stage):
    host, client = stage.pair(INPUT.format("ct state established,related accept;"))
    stage.listen(host, 8080, "127.0.0.1")
    works(host, "127.0.0.1", 8080)
    stage.arguments = ["--source", "127.0.0.1", "--destination", "127.0.0.1", "--dport", "8080"]
    return host


@healthy
def a_client_that_forwards_nothing(stage):
    host, client = stage.pair(INPUT.format("ct state established,related accept;"))
    host.sysctl("net.ipv4.ip_forward", 0)
    stage.listen(client, 80)
    works(host, "10.0.0.2")
    stage.arguments = ["--destination", "10.0.0.2", "--dport", "80"]
    return host


@healthy
def an_idle_connection_that_is_kept(stage):
    gateway, client, server = stage.gateway(FORWARD.format("tcp flags & (fin | syn | rst | ack) != syn ct state new counter drop;"))
    serves(stage, server)
    stage.meanwhile(lambda: idles(client, "10.0.1.2", 80, 0.7))
    stage.arguments = THROUGH + WATCH
    return gateway


@healthy
def translated_to_loopback_with_route_localnet(stage):
    host, client = stage.pair("table ip n { chain p { type nat hook prerouting priority dstnat; tcp dport 80 dnat to 127.0.0.1:8080; } }")
    host.sysctl("net.ipv4.conf.eth0.route_localnet", 1)
    stage.listen(host, 8080, "127.0.0.1")
    works(client)
    stage.arguments = WEB
    return host
