"""Faults of rules: statements that take packets away, conditions that few tools understand, rules of programs, and the sockets behind."""

import socket

from diagnose_staged_flows import INPUT
from diagnose_staged_ways import THROUGH, WATCH, WEB, iptables, knocks, opens
from diagnosis import *



def closed(stage, rules=None, lines=(), tool="iptables-nft", port=80, watch=True, **options):
    """A host that serves, whose rules stop the client; it tries meanwhile."""
    host, client = stage.pair(rules)
    iptables(host, *lines, tool=tool)
    stage.listen(host, port)
    stage.arguments = ["--source", "10.0.0.2", "--dport", str(port)]
    if watch:
        stage.meanwhile(lambda: knocks(client, port=port, **options))
        stage.arguments += WATCH
    return host, client


@fault("drop-rule")
def nobody_listens_at_the_queue(stage):
    host, client = closed(stage, lines=["-A INPUT -p tcp --dport 80 -j NFQUEUE --queue-num 7"], watch=False)
    stage.expected_texts = ["nobody listens"]
    return host


@fault("drop-rule")
def nobody_listens_at_several_queues(stage):
    return closed(stage, lines=["-A INPUT -p tcp --dport 80 -j NFQUEUE --queue-balance 0:3"], tool="iptables-legacy", watch=False)[0]


@fault("drop-rule")
def quota_is_used_up(stage):
    return closed(stage, INPUT.format("ct state established accept; tcp dport 80 quota over 10 bytes counter drop; tcp dport 80 accept;"))[0]


@fault("drop-policy")
def quota_of_what_is_accepted_is_used_up(stage):
    host, client = closed(stage, lines=["-P INPUT DROP", "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A INPUT -p tcp --dport 80 -m quota --quota 100 -j ACCEPT"])
    knocks(client, times=2)
    return host


@fault("drop-rule", "source-at-limit")
def recent_holds_the_source(stage):
    host, client = closed(stage, lines=["-A INPUT -p tcp --dport 80 -m conntrack --ctstate NEW -m recent --set --name web",
                                        "-A INPUT -p tcp --dport 80 -m conntrack --ctstate NEW -m recent --update --seconds 60 --hitcount 3 --name web -j DROP"])
    knocks(client, times=5)
    return host


@fault("reject-rule", "source-at-limit")
def recent_rejects(stage):
    host, client = closed(stage, lines=["-A INPUT -p tcp --dport 80 --syn -m recent --set --name r --rsource",
                                        "-A INPUT -p tcp --dport 80 --syn -m recent --rcheck --seconds 60 --hitcount 3 --name r --rsource -j REJECT"], tool="iptables-legacy")
    knocks(client, times=5)
    return host


@fault("drop-rule")
def time_to_live_is_too_low(stage):
    return closed(stage, INPUT.format("ct state established accept; ip ttl < 65 counter drop; tcp dport 80 accept;"))[0]


@fault("drop-rule")
def time_of_the_day(stage):
    return closed(stage, lines=["-A INPUT -p tcp --dport 80 -m time --timestart 00:00 --timestop 23:59:59 -j DROP"])[0]


@fault("reject-rule")
def owner_may_not_connect(stage):
    host, client = stage.pair()
    iptables(host, "-A OUTPUT -p tcp --dport 80 -m owner --uid-owner 0 -j REJECT --reject-with tcp-reset")
    stage.listen(client, 80)
    stage.meanwhile(lambda: knocks(host, "10.0.0.2"))
    stage.arguments = ["--destination", "10.0.0.2", "--dport", "80", *WATCH]
    return host


@fault("drop-rule")
def segment_size_is_refused(stage):
    return closed(stage, lines=["-A INPUT -p tcp --dport 80 --syn -m tcpmss --mss 1000:2000 -j DROP"])[0]


@fault("drop-rule")
def option_of_the_handshake_is_refused(stage):
    return closed(stage, INPUT.format("ct state established accept; tcp option maxseg size 500-2000 counter drop; tcp dport 80 accept;"))[0]


@fault("drop-rule")
def bits_of_the_packet(stage):
    return closed(stage, lines=["-A INPUT -m u32 --u32 0>>22&0x3C@0&0xFFFF=80 -j DROP"])[0]


@fault("drop-rule")
def mark_of_the_connection(stage):
    host, client = closed(stage, "table inet m { chain p { type filter hook prerouting priority mangle; tcp dport 80 ct mark set 9; }\nchain i { type filter hook input priority 0; ct mark 9 counter drop; } }")
    return host


@fault("drop-rule")
def mark_of_the_packet(stage):
    return closed(stage, "table inet m { chain p { type filter hook prerouting priority mangle; ip saddr 10.0.0.0/24 meta mark set 0x20; }\nchain i { type filter hook input priority 0; meta mark & 0xf0 == 0x20 counter drop; } }", watch=False)[0]


@fault("drop-rule")
def policy_of_ipsec(stage):
    return closed(stage, lines=["-A INPUT -p tcp --dport 80 -m policy --dir in --pol none -j DROP"])[0]


@fault("drop-rule")
def no_socket_for_it(stage):
    return closed(stage, "table inet f { chain p { type filter hook prerouting priority mangle; tcp dport 80 socket wildcard 0 counter accept; tcp dport 80 counter drop; } }")[0]


@fault("drop-rule")
def processor_that_took_it(stage):
    return closed(stage, lines=["-A INPUT -p tcp --dport 80 -m cpu --cpu 0 -j DROP", "-A INPUT -p tcp --dport 80 -m cpu --cpu 1 -j DROP"])[0]


@fault("drop-rule", "reject-rule")
def list_of_sets(stage):
    host, client = stage.pair()
    for line in ("create bad hash:net", "add bad 10.0.0.0/28", "create all list:set", "add all bad"):
        host.run("ipset", *line.split())
    iptables(host, "-A INPUT -m set --match-set all src -j DROP")
    stage.listen(host, 80)
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    return host


@fault("drop-rule")
def set_of_addresses_and_ports(stage):
    host, client = stage.pair()
    for line in ("create pairs hash:ip,port", "add pairs 10.0.0.2,tcp:80"):
        host.run("ipset", *line.split())
    iptables(host, "-A INPUT -m set --match-set pairs src,dst -j DROP", tool="iptables-legacy")
    stage.listen(host, 80)
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    return host


@fault("drop-rule", "source-at-limit")
def rate_of_all_is_reached(stage):
    return closed(stage, INPUT.format("ct state established accept; tcp dport 80 limit rate over 1/minute burst 1 packets counter drop; tcp dport 80 accept;"), times=5)[0]


@fault("drop-policy", "source-at-limit")
def rate_of_what_is_accepted_is_reached(stage):
    return closed(stage, lines=["-P INPUT DROP", "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A INPUT -p tcp --dport 80 -m limit --limit 1/min --limit-burst 1 -j ACCEPT"], times=5)[0]


# --- rules of programs


@fault("reject-rule")
def kubernetes_service_without_endpoints(stage):
    host, client = closed(stage, lines=["-N KUBE-EXTERNAL-SERVICES", "-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
                                        "-A KUBE-EXTERNAL-SERVICES -p tcp -m addrtype --dst-type LOCAL --dport 80 -m comment --comment web:no-endpoints -j REJECT"], watch=False)
    stage.expected_texts = ["kubernetes"]
    return host


@fault("drop-rule")
def docker_keeps_networks_apart(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-N DOCKER-ISOLATION-STAGE-1", "-N DOCKER-ISOLATION-STAGE-2", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
             "-A DOCKER-ISOLATION-STAGE-1 -i eth0 ! -o eth0 -j DOCKER-ISOLATION-STAGE-2", "-A DOCKER-ISOLATION-STAGE-2 -o eth1 -j DROP")
    stage.listen(server, 80)
    stage.arguments = THROUGH
    stage.expected_texts = ["DOCKER-ISOLATION-STAGE-2", "docker network connect"]
    return gateway


@fault("reject-rule")
def libvirt_lets_nobody_in(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-N LIBVIRT_FWI", "-A FORWARD -j LIBVIRT_FWI", "-A LIBVIRT_FWI -d 10.0.1.0/24 -o eth1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
             "-A LIBVIRT_FWI -o eth1 -j REJECT --reject-with icmp-port-unreachable")
    stage.listen(server, 80)
    stage.arguments = THROUGH
    stage.expected_texts = ["libvirt"]
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("drop-rule")
def calico_policy_does_not_allow(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-N cali-FORWARD", "-N cali-tw-web", "-A FORWARD -j cali-FORWARD", "-A cali-FORWARD -o eth1 -j cali-tw-web",
             "-A cali-tw-web -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A cali-tw-web -j MARK --set-xmark 0x0/0x10000",
             "-A cali-tw-web -m mark --mark 0x10000/0x10000 -j RETURN", "-A cali-tw-web -j DROP")
    stage.listen(server, 80)
    stage.arguments = THROUGH
    stage.expected_texts = ["calico", "NetworkPolicy"]
    return gateway


@fault("drop-rule")
def csf_has_banned_the_source(stage):
    host, client = closed(stage, lines=["-N DENYIN", "-N DROPIN", "-A INPUT ! -i lo -j DENYIN", "-A DENYIN -s 10.0.0.2 ! -i lo -j DROP"], watch=False)
    stage.expected_texts = ["csf -dr 10.0.0.2"]
    return host


@fault("drop-policy")
def ufw_has_not_opened_the_port(stage):
    host, client = closed(stage, lines=["-P INPUT DROP", "-N ufw-before-input", "-N ufw-user-input", "-A INPUT -j ufw-before-input", "-A INPUT -j ufw-user-input",
                                        "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A ufw-user-input -p tcp --dport 22 -j ACCEPT"], watch=False)
    stage.expected_texts = ["ufw"]
    stage.cure = opens(client)
    return host


# --- sockets


@fault("listener-other-address")
def listens_on_another_device(stage):
    gateway, client, server = stage.gateway(TRACK)
    listener = gateway.socket(socket.AF_INET, socket.SOCK_STREAM)
    stage.callback(listener.close)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth1")
    listener.bind(("0.0.0.0", 80))
    listener.listen(5)
    stage.arguments = WEB
    stage.expected_texts = ["eth1"]
    return gateway


@fault("listen-queue-full")
def datagrams_are_not_read(stage):
    host, client = stage.pair(TRACK)
    listener = stage.listen(host, 53, kind=socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)

    def send():
        with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(200):
                sender.sendto(b"x" * 500, ("10.0.0.1", 53))

    stage.meanwhile(send)
    stage.arguments = ["--source", "10.0.0.2", "--dport", "53", "--protocol", "udp", *WATCH]
    return host


@fault("connection-leak", "nat-ports-exhausted")
def own_ports_are_used_up(stage):
    host, client = stage.pair(TRACK)
    stage.listen(client, 80)
    host.sysctl("net.ipv4.ip_local_port_range", "40000 40019")
    for _ in range(20):
        stage.hold(host, "10.0.0.2", 80)
    stage.arguments = ["--destination", "10.0.0.2", "--dport", "80"]
    stage.expected_texts = ["ip_local_port_range"]
    return host


@fault("drop-rule")
def classifier_of_traffic_control_drops(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80)
    host.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    host.run("tc", "filter", "add", "dev", "eth0", "ingress", "protocol", "ip", "bpf", "da", "bytecode", "1,6 0 0 2")
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    stage.expected_texts = ["tc filter show dev eth0 ingress"]
    return host
