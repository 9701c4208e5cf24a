"""Traffic that does not go where it was asked to go: by maps of translation, marks, rules of routing, bridges; and who is stopped on the way
back, or by a policy of one family."""

import socket

from diagnose_staged_ways import THROUGH, WATCH, WEB, bridged, iptables, knocks, opens
from diagnosis import *
from namespaces import wait_until

FRONT = ["--source", "10.0.0.2", "--destination", "10.0.0.1", "--dport"]
BY_MAP = "table ip n {{ chain p {{ type nat hook prerouting priority -100; dnat to tcp dport map {{ 80 : {} }}; }} }}"


@fault("drop-policy")
def a_policy_closes_ipv4_to_everybody(stage):
    host, client = stage.pair()
    iptables(host, "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-P INPUT DROP")
    stage.listen(host, 80, "::")
    stage.arguments = ["--dport", "80"]
    return host


@fault("established-not-accepted")
def answers_are_dropped_by_their_direction(stage):
    host, client = stage.pair()
    iptables(host, "-A OUTPUT -p tcp -m conntrack --ctdir REPLY -j DROP")
    stage.listen(host, 80)
    knocks(client)
    stage.arguments = WEB
    stage.expected_texts = ["--ctdir REPLY"]
    return host


@fault("established-not-accepted")
def answers_to_one_client_are_dropped(stage):
    host, client = stage.pair()
    iptables(host, "-A OUTPUT -p tcp --sport 80 -j DROP", "-A OUTPUT -d 10.0.0.3 -j DROP")
    stage.listen(host, 80)
    stage.arguments = WEB
    stage.expected_texts = ["-d 10.0.0.2"]  # and nobody else's
    stage.cure = opens(client)
    return host


@fault("dnat-not-forwarded")
def a_map_of_translation_leads_to_a_closed_forward_chain(stage):
    gateway, client, server = stage.gateway(BY_MAP.format("10.0.1.2") +
                                            "table ip f { chain f { type filter hook forward priority 0; policy drop; ct state established accept; tcp dport 443 accept; } }")
    stage.listen(server, 80)
    stage.arguments = [*FRONT, "80"]
    stage.cure = opens(client)
    return gateway


@fault("no-route")
def a_map_of_translation_leads_to_a_host_that_is_down(stage):
    gateway, client, server = stage.gateway(BY_MAP.format("10.0.1.9"))
    knocks(client, times=1)
    wait_until(lambda: "FAILED" in gateway.run("ip", "neigh").stdout, 10, "the neighbour does not answer")
    stage.arguments = [*FRONT, "80"]
    return gateway


@healthy
def a_map_of_translation_takes_what_input_would_drop(stage):
    gateway, client, server = stage.gateway("""table ip n { map m { type inet_service : ipv4_addr . inet_service; elements = { 81 : 10.0.1.2 . 8080 }\n}
        chain p { type nat hook prerouting priority -100; dnat ip addr . port to tcp dport map @m; }
        chain i { type filter hook input priority 0; policy drop; ct state established accept; } }""")
    stage.listen(server, 8080)
    stage.arguments = [*FRONT, "81"]
    return gateway


@fault("no-listener")
def the_output_hook_redirects_to_where_nobody_listens(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 3128")
    stage.listen(server, 80)
    stage.arguments = ["--source", "10.0.1.1", "--destination", "10.0.1.2", "--dport", "80"]
    stage.expected_texts = ["3128"]
    return gateway


@fault("no-route")
def a_rule_of_routing_asks_for_the_port(stage):
    gateway, client, server = stage.gateway(TRACK)
    gateway.ip("rule", "add", "ipproto", "tcp", "dport", "80", "unreachable")
    stage.listen(server, 80)
    stage.arguments = THROUGH
    return gateway


@fault("no-route")
def a_rule_of_routing_asks_for_the_port_of_the_answers(stage):
    host, client = stage.pair(TRACK)
    host.ip("rule", "add", "from", "10.0.0.1", "ipproto", "tcp", "sport", "80", "blackhole")
    stage.listen(host, 80)
    stage.arguments = WEB
    return host


@fault("no-route")
def a_rule_of_routing_asks_by_which_link_answers_come(stage):
    gateway, client, server = stage.gateway(TRACK)
    gateway.ip("rule", "add", "iif", "eth1", "to", "10.0.0.2", "blackhole")
    stage.listen(server, 80)
    stage.arguments = THROUGH
    return gateway


@fault("no-listener")
def pings_are_ignored(stage):
    host, client = stage.pair()
    host.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
    stage.arguments = ["--source", "10.0.0.2", "--protocol", "icmp"]
    return host


@fault("reject-rule")
def what_stands_behind_a_goto_accepts_nothing_that_it_took(stage):
    host, client = stage.pair("""table inet f { chain pub { tcp dport 22 accept; reject; }
        chain trusted { accept; }
        chain i { type filter hook input priority 0; iifname eth0 goto pub; goto trusted; } }""")
    stage.listen(host, 80)
    stage.arguments = WEB
    stage.cure = opens(client)
    return host


@healthy
def a_service_address_that_no_route_leads_to(stage):
    gateway, client, server = stage.gateway()
    iptables(gateway, "-t nat -A PREROUTING -d 10.96.0.1 -p tcp --dport 443 -j DNAT --to-destination 10.0.1.2:443")
    stage.listen(server, 443)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.96.0.1", "--dport", "443"]
    return gateway


def public_server(stage, rules=None):
    gateway, client, server = stage.gateway(rules)
    server.ip("addr", "add", "203.0.113.5/32", "dev", "lo")
    stage.listen(server, 80)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "203.0.113.5", "--dport", "80"]
    return gateway, client


@healthy
def marks_find_the_way(stage):
    gateway, client = public_server(stage)
    iptables(gateway, "-t mangle -A PREROUTING -i eth0 -j MARK --set-mark 9")
    gateway.ip("rule", "add", "fwmark", "9", "lookup", "109")
    gateway.ip("route", "add", "203.0.113.0/24", "via", "10.0.1.2", "table", "109")
    assert opens(client, "203.0.113.5")()
    return gateway


@healthy
def rules_of_routing_by_port_find_the_way(stage):
    gateway, client = public_server(stage, TRACK)
    gateway.ip("rule", "add", "ipproto", "tcp", "dport", "80", "lookup", "109")
    gateway.ip("route", "add", "203.0.113.0/24", "via", "10.0.1.2", "table", "109")
    assert opens(client, "203.0.113.5")()
    return gateway


@healthy
def tproxy_takes_what_no_route_leads_to(stage):
    host, client = stage.pair("table ip t { chain p { type filter hook prerouting priority mangle; meta l4proto tcp tproxy to :3128 meta mark set 1 accept; } }")
    host.ip("rule", "add", "fwmark", "1", "lookup", "100")
    host.ip("route", "add", "local", "default", "dev", "lo", "table", "100")
    client.ip("route", "add", "default", "via", "10.0.0.1")
    proxy = stage.listen(host, 3128)
    proxy.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT
    assert opens(client, "203.0.113.5")()
    stage.arguments = ["--source", "10.0.0.2", "--destination", "203.0.113.5", "--dport", "80"]
    return host


@healthy
def a_bridge_without_an_address_carries_it(stage):
    host, one, other = bridged(stage, "table inet f { chain f { type filter hook forward priority 0; policy drop; } }")
    host.ip("addr", "flush", "dev", "virbr0")
    assert opens(one, "10.0.0.3")()
    return host


@healthy
def an_accept_that_nobody_understands_or_counts_let_it_in(stage):
    host, client = stage.pair()
    link = json.loads(client.ip("-json", "link", "show", "eth0").stdout)[0]["address"]
    host.nft(f"table inet f {{ chain i {{ type filter hook input priority 0; policy drop; ct state established accept; icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept; ether saddr {link} tcp dport 80 accept; }}\n}}")
    stage.listen(host, 80)
    assert opens(client)()
    stage.arguments = WEB
    return host


@healthy
def another_source_is_at_the_limit(stage):
    host, client = stage.pair()
    iptables(host, "-A INPUT -p tcp --syn --dport 80 -m connlimit --connlimit-above 1 -j REJECT")
    client.ip("addr", "add", "10.0.0.3/24", "dev", "eth0")
    stage.listen(host, 80)
    held = client.socket(socket.AF_INET, socket.SOCK_STREAM)
    stage.callback(held.close)
    held.bind(("10.0.0.3", 0))
    held.connect(("10.0.0.1", 80))
    knocks(client, source="10.0.0.3")
    stage.arguments = WEB
    return host


@healthy
def what_is_watched_is_answered_whatever_routes_say(stage):
    gateway, client = public_server(stage)
    gateway.ip("route", "add", "203.0.113.0/24", "via", "10.0.1.2")
    stage.meanwhile(lambda: knocks(client, "203.0.113.5"))
    stage.arguments += WATCH
    return gateway
