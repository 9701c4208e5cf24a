"""What is seen, and what is only thought: answers that come here and are lost here, rules that may stop it before the one that certainly would,
zones of conntrack; and hosts that look like one of these, and work."""

from diagnose_staged_healthy import works
from diagnose_staged_ways import THROUGH, WATCH, WEB, bridged, iptables, knocks, opens
from diagnosis import *

PUBLIC = "192.0.2.2"
OUT = ["--source", "10.0.0.2", "--destination", PUBLIC, "--dport", "80"]


def public_server(stage, rules=None):
    """A gateway between 10.0.0.2 and a server with a public address, which knows the way back unless that is deleted."""
    gateway, client = stage.pair(rules)
    server = stage.namespace(role="server")
    veth(server, "eth0", [f"{PUBLIC}/24"], gateway, "eth1", ["192.0.2.1/24"])
    gateway.sysctl("net.ipv4.conf.eth1.rp_filter", 0)
    gateway.sysctl("net.ipv4.ip_forward", 1)
    client.ip("route", "add", "default", "via", "10.0.0.1")
    server.ip("route", "add", "10.0.0.0/24", "via", "192.0.2.1")
    stage.listen(server, 80)
    stage.arguments = list(OUT)
    return gateway, client, server


@fault("no-route")
def the_way_back_is_a_blackhole_and_answers_are_seen_to_come(stage):
    gateway, client, server = stage.gateway()
    stage.listen(server, 80)
    gateway.ip("route", "add", "blackhole", "10.0.0.2/32")
    stage.meanwhile(lambda: knocks(client, "10.0.1.2"))
    stage.arguments = THROUGH + WATCH
    stage.expected_texts = ["came here and did not leave"]
    stage.cure = opens(client, "10.0.1.2")
    return gateway


@fault("rp-filter")
def the_reverse_path_filter_drops_answers_that_are_seen_to_come(stage):
    gateway, client, server = stage.gateway()
    stage.listen(server, 80)
    # Only what is marked finds the server; the filter looks without the mark, and finds it elsewhere.
    gateway.nft(on_lines("table ip m { chain p { type filter hook prerouting priority mangle; iifname eth0 meta mark set 7; } }"))
    gateway.ip("rule", "add", "fwmark", "7", "lookup", "77")
    gateway.ip("route", "add", "10.0.1.2/32", "dev", "eth1", "table", "77")
    gateway.ip("route", "add", "10.0.1.2/32", "via", "10.0.0.2")
    gateway.sysctl("net.ipv4.conf.eth1.rp_filter", 1)
    stage.meanwhile(lambda: knocks(client, "10.0.1.2"))
    stage.arguments = THROUGH + WATCH
    return gateway


@fault("drop-rule")
def a_rule_that_is_not_understood_stops_it_before_a_ban_does(stage):
    host, client = stage.pair("table inet f { chain i { type filter hook input priority 0; tcp dport 80 ip ttl < 100 counter drop; ip saddr 10.0.0.2 counter drop; } }")
    stage.listen(host, 80)
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    stage.expected_texts = ["Rule 1 of chain i drops it"]
    return host


@fault("drop-rule")
def a_rule_that_is_not_understood_has_counted_and_the_ban_behind_it_has_not(stage):
    host, client = stage.pair()
    iptables(host, "-A INPUT -p tcp --dport 80 -m dscp --dscp 0 -j DROP", "-A INPUT -s 10.0.0.2 -j DROP")
    stage.listen(host, 80)
    knocks(client)
    stage.arguments = WEB
    stage.expected_texts = ["Rule 1 of chain INPUT drops it"]
    return host


@fault("drop-rule")
def a_mark_from_a_map_is_asked_for_before_a_rule_for_the_source(stage):
    host, client = stage.pair("""table inet m { map marks { type ipv4_addr : mark; flags interval; elements = { 10.0.0.0/30 : 0x1f }\n}
        chain p { type filter hook prerouting priority mangle; meta mark set ip saddr map @marks; }
        chain i { type filter hook input priority 0; meta mark & 0xf0 == 0x10 tcp dport 80 counter drop; ip saddr 10.0.0.2 tcp dport 80 counter drop; } }""")
    stage.listen(host, 80)
    stage.meanwhile(lambda: knocks(client))
    stage.arguments = WEB + WATCH
    stage.expected_texts = ["Rule 1 of chain i drops it"]
    return host


ONE_SIDED = "table inet z {{ chain p {{ type filter hook prerouting priority raw; iifname eth0 {} ct zone set 7; }}\n chain f {{ type filter hook {} priority 0; ct state invalid counter drop; }} }}"


@fault("invalid-packets")
def only_requests_have_a_zone(stage):
    gateway, client, server = stage.gateway(ONE_SIDED.format("", "forward"))
    stage.listen(server, 80)
    knocks(client, "10.0.1.2")
    stage.arguments = THROUGH
    stage.expected_texts = ["zone 7, by nftables, table inet z, chain p, line 1"]
    return gateway


@fault("invalid-packets")
def only_requests_to_the_host_have_a_zone(stage):
    host, client = stage.pair(ONE_SIDED.format("ip6 daddr 2001:db8::1", "output"))
    stage.listen(host, 80, "::")
    knocks(client, "2001:db8::1")
    stage.arguments = ["--source", "2001:db8::2", "--destination", "2001:db8::1", "--dport", "80"]
    return host


@fault("invalid-packets")
def only_requests_have_a_zone_by_legacy_rules_and_are_translated(stage):
    gateway, client, server = public_server(stage)
    server.ip("route", "del", "10.0.0.0/24")
    iptables(gateway, "-t raw -A PREROUTING -i eth0 -j CT --zone 5", "-t nat -A POSTROUTING -o eth1 -j MASQUERADE", tool="iptables-legacy")
    knocks(client, PUBLIC)
    return gateway


@healthy
def both_ways_have_the_same_zone(stage):
    gateway, client, server = stage.gateway("""table inet z { chain p { type filter hook prerouting priority raw; iifname { eth0, eth1 } ct zone set 7; }
        chain f { type filter hook forward priority 0; policy drop; ct state established accept; tcp dport 80 ct state new accept; } }""")
    stage.listen(server, 80)
    works(client, "10.0.1.2")
    stage.arguments = THROUGH
    return gateway


@healthy
def a_table_for_the_source_refuses_what_nobody_sends(stage):
    gateway, client, server = stage.gateway()
    gateway.ip("rule", "add", "from", "10.0.0.0/24", "lookup", "100")
    gateway.ip("route", "add", "throw", "10.0.1.0/24", "table", "100")
    gateway.ip("route", "add", "prohibit", "default", "table", "100")
    stage.listen(server, 80)
    works(client, "10.0.1.2")
    stage.arguments = THROUGH
    return gateway


@healthy
def a_private_network_that_is_routed(stage):
    gateway, client, server = public_server(stage, TRACK)
    works(client, PUBLIC)
    return gateway


@healthy
def a_private_network_that_is_routed_and_another_that_is_translated(stage):
    gateway, client, server = public_server(stage, "table ip n { chain p { type nat hook postrouting priority 100; ip saddr 10.0.9.0/24 masquerade; } }")
    stage.meanwhile(lambda: knocks(client, PUBLIC))
    works(client, PUBLIC)
    stage.arguments += WATCH
    return gateway


@fault("no-masquerade")
def nobody_knows_the_way_back_and_no_answer_is_seen_to_come(stage):
    gateway, client, server = public_server(stage)
    server.ip("route", "del", "10.0.0.0/24")
    stage.meanwhile(lambda: knocks(client, PUBLIC))
    stage.arguments += WATCH
    return gateway


@fault("no-masquerade")
def nobody_knows_the_way_back_and_the_table_shows_it(stage):
    gateway, client, server = public_server(stage, TRACK)
    server.ip("route", "del", "10.0.0.0/24")
    knocks(client, PUBLIC)
    stage.cure = opens(client, PUBLIC)
    return gateway


HAIRPIN = "table ip n { chain p { type nat hook prerouting priority -100; ip daddr 192.0.2.1 tcp dport 80 dnat to 10.0.0.3; } }"


def hairpin(stage, through_ip_rules):
    """A client of a bridge asks for the host's public address, and is translated to its neighbour."""
    host, client, server = bridged(stage, HAIRPIN, through_ip_rules)
    host.ip("addr", "add", "192.0.2.1/32", "dev", "lo")
    host.sysctl("net.ipv4.ip_forward", 1)
    client.ip("route", "add", "192.0.2.1/32", "via", "10.0.0.1")
    stage.arguments = ["--source", "10.0.0.2", "--destination", "192.0.2.1", "--dport", "80"]
    return host, client


@fault("no-masquerade")
def a_server_in_the_clients_own_network_answers_it_directly(stage):
    host, client = hairpin(stage, through_ip_rules=0)
    stage.expected_texts = ["answers its neighbour directly"]
    return host


@healthy
def a_bridge_brings_the_neighbours_answer_back_through_conntrack(stage):
    host, client = hairpin(stage, through_ip_rules=1)
    works(client, "192.0.2.1")
    return host


LONG_ONES = "-A FORWARD -m length --length 900:1500 -j DROP"  # whether it stops the asked traffic is not known


def beside_long_ones(stage, client):
    """Another source's long packets are dropped while the asked traffic is tried."""
    client.ip("addr", "add", "10.0.0.66/24", "dev", "eth0")

    def send():
        with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("10.0.0.66", 0))
            for _ in range(6):
                sender.sendto(bytes(1000), ("10.0.1.2", 5000))
                knocks(client, "10.0.1.2", times=1)

    stage.meanwhile(send)
    stage.arguments = THROUGH + WATCH


@healthy
def what_a_rule_that_is_not_understood_stops_is_not_this(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, LONG_ONES)
    stage.listen(server, 80)
    beside_long_ones(stage, client)
    return gateway


@fault("nothing-found", "no-masquerade")
def a_rule_that_is_not_understood_stops_others_and_the_far_end_this(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, LONG_ONES)
    iptables(server, "-A INPUT -p tcp --dport 80 -j DROP")
    beside_long_ones(stage, client)
    stage.expected_texts = ["left this host again"]
    return gateway


@healthy
def a_port_is_open_on_one_link_alone_and_nobody_says_by_which_it_comes(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-P INPUT DROP", "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A INPUT -i eth1 -j ACCEPT")
    stage.listen(gateway, 80)
    stage.arguments = ["--dport", "80"]
    stage.expected_texts = ["whether it comes by eth0"]
    return gateway


@fault("nothing-found")
def a_rule_leaves_packets_one_hop_to_live(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-t mangle -A PREROUTING -i eth0 -j TTL --ttl-set 1")
    stage.listen(server, 80)
    knocks(client, "10.0.1.2")
    stage.arguments = THROUGH
    stage.expected_texts = ["-j TTL --ttl-set 1"]
    return gateway
