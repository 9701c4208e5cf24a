"""Faults of the way that packets take: routes, the reverse path, whose address it is, bridges, what the host sends to itself."""

import socket

from diagnosis import *
from namespaces import SLOWNESS

WEB = ["--source", "10.0.0.2", "--dport", "80"]
THROUGH = ["--source", "10.0.0.2", "--destination", "10.0.1.2", "--dport", "80"]
WATCH = ["--observe", f"{int(1500 * SLOWNESS)}ms"]


def iptables(namespace, *lines, tool="iptables-nft"):
    for line in lines:
        namespace.run(tool, *line.split())


def knocks(client, address="10.0.0.1", port=80, times=3, source=None):
    """Tries again and again; each attempt of its own."""
    for _ in range(times):
        sock = client.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(0.3 * SLOWNESS)
        if source:
            sock.bind((source, 0))
        with contextlib.suppress(OSError):
            sock.connect((address, port))
        sock.close()


def opens(client, address="10.0.0.1", port=80):
    """For Stage.cure: whether a connection comes about. A link that came up within the second may not ask for neighbours yet."""
    return lambda: any(try_to_connect(client, address, port) is None for _ in range(5))


def other_way_back(stage, rules=None):
    """10.7.0.2's packets arrive by eth0, and the host would answer by eth1."""
    gateway, client, server = stage.gateway(rules)
    client.ip("addr", "add", "10.7.0.2/32", "dev", "lo")
    client.ip("-6", "addr", "add", "2001:db8:7::2/128", "dev", "lo")
    gateway.ip("route", "add", "10.7.0.0/24", "via", "10.0.1.2")
    gateway.ip("-6", "route", "add", "2001:db8:7::/64", "via", "2001:db8:1::2")
    stage.listen(gateway, 80, "::")
    stage.arguments = ["--source", "10.7.0.2", "--dport", "80"]
    return gateway, client


@fault("drop-rule")
def rpfilter_rule_seen_on_the_wire(stage):
    gateway, client = other_way_back(stage)
    iptables(gateway, "-t raw -A PREROUTING -m rpfilter --validmark --invert -j DROP", tool="iptables-legacy")
    stage.meanwhile(lambda: knocks(client, source="10.7.0.2"))
    stage.arguments += WATCH
    stage.expected_texts = ["rpfilter", "eth1"]
    return gateway


@fault("drop-rule")
def rpfilter_rule_that_has_counted(stage):
    gateway, client = other_way_back(stage)
    iptables(gateway, "-t raw -A PREROUTING -m rpfilter --invert -j DROP")
    knocks(client, source="10.7.0.2")
    return gateway


@fault("drop-rule")
def fib_rule_of_the_link(stage):
    gateway, client = other_way_back(stage, "table inet f { chain p { type filter hook prerouting priority raw; fib saddr . iif oif missing counter drop; } }")
    stage.meanwhile(lambda: knocks(client, source="10.7.0.2"))
    stage.arguments += WATCH
    return gateway


@fault("drop-rule")
def fib_rule_for_ipv6_that_has_counted(stage):
    gateway, client = other_way_back(stage, "table inet f { chain p { type filter hook prerouting priority raw; meta nfproto ipv6 fib saddr . mark . iif oif missing counter drop; } }")
    knocks(client, "2001:db8::1", source="2001:db8:7::2")
    stage.arguments = ["--source", "2001:db8:7::2", "--dport", "80"]
    return gateway


@fault("drop-rule")
def calico_drops_by_reverse_path(stage):
    gateway, client = other_way_back(stage)
    iptables(gateway, "-t raw -N cali-PREROUTING", "-t raw -N cali-rpf-skip", "-t raw -A PREROUTING -j cali-PREROUTING",
             "-t raw -A cali-PREROUTING -m rpfilter --validmark --invert -j DROP")
    stage.meanwhile(lambda: knocks(client, source="10.7.0.2"))
    stage.arguments += WATCH
    stage.expected_texts = ["calico"]
    return gateway


@fault("drop-rule")
def fib_rule_drops_what_is_for_nobody(stage):
    host, client = stage.pair("table inet f { chain p { type filter hook prerouting priority 0; fib daddr type unicast counter drop; } }")
    host.ip("route", "add", "10.9.0.0/24", "via", "10.0.0.2")
    host.sysctl("net.ipv4.ip_forward", 1)
    client.ip("route", "add", "10.9.0.0/24", "via", "10.0.0.1")
    stage.meanwhile(lambda: knocks(client, "10.9.0.9"))
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.9.0.9", "--dport", "80", *WATCH]
    return host


@fault("no-route")
def blackhole_route_to_the_destination(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.listen(server, 80)
    gateway.ip("route", "add", "blackhole", "10.0.1.2/32")
    stage.arguments = THROUGH
    stage.expected_texts = ["ip route del blackhole 10.0.1.2"]
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("no-route")
def unreachable_route_in_a_table_of_its_own(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.listen(server, 80)
    gateway.ip("route", "add", "unreachable", "10.0.1.0/24", "table", "100")
    gateway.ip("rule", "add", "from", "10.0.0.2", "lookup", "100")
    stage.arguments = THROUGH
    stage.expected_texts = ["table 100"]
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("no-route")
def prohibit_by_a_rule(stage):
    gateway, client, server = stage.gateway(TRACK)
    gateway.ip("rule", "add", "from", "10.0.0.2", "to", "10.0.1.0/24", "prohibit")
    stage.listen(server, 80)
    stage.arguments = THROUGH
    stage.expected_texts = ["ip rule del"]
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("no-route")
def blackhole_back_to_a_banned_source(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80)
    host.ip("route", "add", "blackhole", "10.0.0.2/32")
    stage.arguments = WEB
    stage.cure = opens(client)
    return host


@fault("no-route")
def blackhole_of_ipv6(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.listen(server, 80, "::")
    gateway.ip("-6", "route", "add", "blackhole", "2001:db8:1::2/128")
    stage.arguments = ["--source", "2001:db8::2", "--destination", "2001:db8:1::2", "--dport", "80"]
    stage.cure = opens(client, "2001:db8:1::2")
    return gateway


@fault("no-route")
def policy_route_by_mark_leads_nowhere(stage):
    gateway, client, server = stage.gateway("table inet m { chain p { type filter hook prerouting priority mangle; tcp dport 80 meta mark set 7; } }")
    stage.listen(server, 80)
    gateway.ip("route", "add", "blackhole", "default", "table", "7")
    gateway.ip("rule", "add", "fwmark", "7", "lookup", "7")
    stage.arguments = THROUGH
    return gateway


@fault("no-route")
def address_that_moved_away(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.0.100", "--dport", "80"]
    return host


@fault("no-route")
def address_that_moved_away_from_a_gateway(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.meanwhile(lambda: knocks(client, "10.0.0.100"))
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.0.100", "--dport", "80", *WATCH]
    return gateway


@fault("no-route")
def nobody_answers_for_the_server_behind(stage):
    gateway, client, server = stage.gateway(TRACK)
    server.ip("addr", "del", "10.0.1.2/24", "dev", "eth0")
    stage.meanwhile(lambda: knocks(client, "10.0.1.2"))
    stage.arguments = THROUGH + ["--observe", "3500ms"]
    return gateway


@fault("no-route")
def link_to_the_server_is_down(stage):
    gateway, client, server = stage.gateway(TRACK)
    gateway.ip("link", "set", "eth1", "down")
    stage.arguments = THROUGH
    stage.expected_texts = ["eth1"]
    return gateway


@fault("no-route")
def link_to_the_server_has_no_carrier(stage):
    gateway, client, server = stage.gateway(TRACK)
    server.ip("link", "set", "eth0", "down")
    stage.arguments = THROUGH
    stage.expected_texts = ["eth1"]
    return gateway


@fault("no-route")
def ipv6_is_disabled_on_the_link(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80, "::")
    host.sysctl("net.ipv6.conf.eth0.disable_ipv6", 1)
    stage.arguments = ["--source", "2001:db8::2", "--destination", "2001:db8::1", "--dport", "80"]
    stage.expected_texts = ["disable_ipv6"]
    return host


@fault("dnat-not-forwarded")
def translated_to_loopback_without_route_localnet(stage):
    host, client = stage.pair("table ip n { chain p { type nat hook prerouting priority dstnat; tcp dport 80 dnat to 127.0.0.1:8080; } }")
    stage.listen(host, 8080, "127.0.0.1")
    stage.arguments = WEB
    stage.expected_texts = ["route_localnet"]
    stage.cure = opens(client)
    return host


@fault("drop-policy")
def loopback_is_not_accepted(stage):
    host, client = stage.pair("table inet f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; iifname eth0 tcp dport 80 accept; } }")
    stage.listen(host, 8080, "127.0.0.1")
    stage.arguments = ["--source", "127.0.0.1", "--destination", "127.0.0.1", "--dport", "8080"]
    stage.cure = opens(host, "127.0.0.1", 8080)
    return host


@fault("drop-policy")
def own_address_asked_from_this_host(stage):
    host, client = stage.pair("table inet f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; iifname eth0 tcp dport 80 accept; } }")
    stage.listen(host, 80)
    stage.arguments = ["--source", "10.0.0.1", "--destination", "10.0.0.1", "--dport", "80"]
    stage.cure = opens(host)
    return host


@fault("reject-rule")
def output_rejects_what_goes_to_loopback(stage):
    host, client = stage.pair("table inet f { chain o { type filter hook output priority 0; oifname lo tcp dport 8080 counter reject with tcp reset; } }")
    stage.listen(host, 8080, "127.0.0.1")
    stage.arguments = ["--destination", "127.0.0.1", "--dport", "8080"]
    stage.cure = opens(host, "127.0.0.1", 8080)
    return host


def bridged(stage, rules=None, through_ip_rules=0):
    """Two guests, 10.0.0.2 and 10.0.0.3, on the bridge of a host that forwards nothing."""
    host, one, other = stage.namespace(rules, "host"), stage.namespace(role="one"), stage.namespace(role="other")
    host.ip("link", "add", "virbr0", "type", "bridge")
    for guest, port, address in ((one, "vnet0", "10.0.0.2/24"), (other, "vnet1", "10.0.0.3/24")):
        veth(guest, "eth0", [address], host, port, [])
        host.ip("link", "set", port, "master", "virbr0")
    host.ip("addr", "add", "10.0.0.1/24", "dev", "virbr0")
    host.ip("link", "set", "virbr0", "up")
    host.sysctl("net.ipv4.ip_forward", 0)
    host.sysctl("net.bridge.bridge-nf-call-iptables", through_ip_rules)
    stage.listen(other, 80)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.0.3", "--dport", "80"]
    return host, one, other


@fault("drop-rule")
def bridge_family_drops(stage):
    host, one, other = bridged(stage, "table bridge b { chain f { type filter hook forward priority 0; ip daddr 10.0.0.3 tcp dport 80 counter drop; } }")
    knocks(one, "10.0.0.3")
    return host


@fault("drop-policy")
def bridged_packets_meet_the_forward_policy(stage):
    host, one, other = bridged(stage, "table ip f { chain f { type filter hook forward priority 0; policy drop; ct state established,related accept; } }", 1)
    stage.cure = opens(one, "10.0.0.3")
    return host


@fault("drop-rule", "drop-policy")
def arp_is_not_answered(stage):
    host, client = stage.pair("table arp a { chain i { type filter hook input priority 0; counter drop; } }")
    stage.listen(host, 80)
    client.ip("neigh", "flush", "all")
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    return host
