"""What a link does not do for a packet: forward it, ask for a neighbour, answer for an address or take what is sent to it; and links that look
so, and work."""

from diagnose_staged_healthy import works
from diagnose_staged_ways import THROUGH, WATCH, WEB, iptables, knocks
from diagnosis import *
from namespaces import SLOWNESS

THROUGH6 = ["--source", "2001:db8::2", "--destination", "2001:db8:1::2", "--dport", "80"]
SERVER6 = "2001:db8:1::2"
DISCOVERY = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;"


def comes_about(client, address, port=80):
    """For Stage.cure: whether a connection comes about, once both ends have forgotten that they did not find each other."""
    def tries():
        end = time.monotonic() + 8 * SLOWNESS
        while time.monotonic() < end:
            if try_to_connect(client, address, port) is None:
                return True
            time.sleep(0.2)
        return False
    return tries


def gateway6(stage, rules=None, forwarding=1):
    gateway, client, server = stage.gateway(rules, forwarding)
    stage.listen(server, 80, "::")
    stage.arguments = list(THROUGH6)
    stage.cure = comes_about(client, SERVER6)
    return gateway, client, server


def forces(gateway, *links):
    """Before Linux 6.17 no link can be told to forward IPv6 where the host does not."""
    known = gateway.run("test", "-e", "/proc/sys/net/ipv6/conf/eth0/force_forwarding", check=False).returncode == 0
    for link in links if known else ():
        gateway.sysctl(f"net.ipv6.conf.{link}.force_forwarding", 1)
    return known


# --- forwarding

@healthy
def ipv6_is_forwarded_whatever_a_links_own_setting_says(stage):
    gateway, client, server = gateway6(stage)
    for link in ("eth0", "eth1"):
        gateway.sysctl(f"net.ipv6.conf.{link}.forwarding", 0)
    stage.cure = None
    assert comes_about(client, SERVER6)()
    return gateway


@healthy
def links_are_forced_to_forward_ipv6(stage):
    gateway, client, server = gateway6(stage, forwarding=0)
    if not forces(gateway, "eth0", "eth1"):
        gateway.sysctl("net.ipv6.conf.all.forwarding", 1)
    stage.cure = None
    assert comes_about(client, SERVER6)()
    return gateway


@fault("forwarding-off")
def only_the_servers_link_is_forced_to_forward_ipv6(stage):
    gateway, client, server = gateway6(stage, forwarding=0)
    if forces(gateway, "eth1"):
        stage.expected_texts = ["sysctl -w net.ipv6.conf.eth0.force_forwarding=1\""]
    return gateway


@fault("forwarding-off")
def only_the_clients_link_is_forced_to_forward_ipv6(stage):
    gateway, client, server = gateway6(stage, forwarding=0)
    if forces(gateway, "eth0"):
        stage.expected_texts = ["sysctl -w net.ipv6.conf.eth1.force_forwarding=1\""]
    return gateway


@fault("forwarding-off")
def a_links_own_setting_forwards_no_ipv6(stage):
    gateway, client, server = gateway6(stage, forwarding=0)
    for link in ("eth0", "eth1"):
        gateway.sysctl(f"net.ipv6.conf.{link}.forwarding", 1)
    return gateway


@fault("forwarding-off")
def the_link_of_the_answers_does_not_forward(stage):
    gateway, client, server = stage.gateway()
    stage.listen(server, 80)
    gateway.sysctl("net.ipv4.conf.eth1.forwarding", 0)
    stage.arguments = THROUGH
    stage.expected_texts = ["sysctl -w net.ipv4.conf.eth1.forwarding=1"]
    stage.cure = comes_about(client, "10.0.1.2")
    return gateway


@healthy
def two_links_forward_what_is_translated_and_the_host_does_not(stage):
    gateway, client, server = stage.gateway("table ip n { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.0.1.2:80; } }", forwarding=0)
    for link in ("eth0", "eth1"):
        gateway.sysctl(f"net.ipv4.conf.{link}.forwarding", 1)
    stage.listen(server, 80)
    works(client, "10.0.0.1", 8080)
    stage.arguments = ["--source", "10.0.0.2", "--dport", "8080"]
    return gateway


# --- neighbour discovery

@fault("drop-policy")
def no_solicitation_may_leave_to_either_side(stage):
    gateway, client, server = gateway6(stage, "table ip6 f { chain o { type filter hook output priority 0; policy drop; oif lo accept; ct state established,related accept; } }")
    knocks(client, SERVER6)
    return gateway


@fault("drop-policy")
def no_advertisement_is_let_in_from_either_side(stage):
    gateway, client, server = gateway6(stage, "table ip6 f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; icmpv6 type nd-neighbor-solicit accept; } }")
    knocks(client, SERVER6)
    return gateway


@fault("drop-policy")
def no_discovery_passes_either_chain(stage):
    gateway, client, server = gateway6(stage, """table ip6 f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; }
        chain o { type filter hook output priority 0; policy drop; ct state established,related accept; } }""")
    knocks(client, SERVER6)
    return gateway


@fault("drop-policy")
def no_discovery_passes_either_chain_of_ip6tables(stage):
    gateway, client, server = gateway6(stage)
    iptables(gateway, "-P INPUT DROP", "-P OUTPUT DROP", tool="ip6tables-nft")
    knocks(client, SERVER6)
    return gateway


@fault("drop-rule")
def a_rule_stops_discovery_on_the_servers_link_alone(stage):
    gateway, client, server = gateway6(stage, "table ip6 f { chain o { type filter hook output priority 0; oifname eth1 icmpv6 type nd-neighbor-solicit counter drop; } }")
    knocks(client, SERVER6)
    return gateway


@fault("drop-policy")
def the_hosts_own_solicitations_may_not_leave(stage):
    host, client = stage.pair("table ip6 f { chain o { type filter hook output priority 0; policy drop; ct state established,related accept; tcp dport 80 accept; oif lo accept; } }")
    stage.listen(client, 80, "::")
    knocks(host, "2001:db8::2")
    stage.arguments = ["--destination", "2001:db8::2", "--dport", "80"]
    stage.cure = comes_about(host, "2001:db8::2")
    return host


@fault("drop-policy")
def what_answers_the_hosts_own_solicitations_is_not_let_in(stage):
    host, client = stage.pair("table ip6 f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; iif lo accept; } }")
    stage.listen(client, 80, "::")
    knocks(host, "2001:db8::2")
    stage.arguments = ["--source", "2001:db8::1", "--destination", "2001:db8::2", "--dport", "80"]
    stage.cure = comes_about(host, "2001:db8::2")
    return host


@healthy
def discovery_is_accepted_by_type_and_by_group(stage):
    gateway, client, server = gateway6(stage, f"""table ip6 f {{ chain i {{ type filter hook input priority 0; policy drop; ct state established,related accept; {DISCOVERY} }}
        chain o {{ type filter hook output priority 0; policy drop; ct state established,related accept; ip6 daddr ff02::/16 accept; icmpv6 type nd-neighbor-advert accept; }} }}""")
    stage.cure = None
    assert comes_about(client, SERVER6)()
    return gateway


@healthy
def a_link_on_which_nobody_asks_for_neighbours(stage):
    gateway, client, server = stage.gateway("table ip6 f { chain o { type filter hook output priority 0; policy drop; ct state established,related accept; oifname eth0 " + DISCOVERY + " } }")
    address = json.loads(gateway.ip("-json", "link", "show", "eth1").stdout)[0]["address"]
    for each, link in ((gateway, "eth1"), (server, "eth0")):  # as the ends of a tunnel
        each.ip("link", "set", link, "address", address)
        each.ip("link", "set", link, "arp", "off")
    stage.listen(server, 80, "::")
    assert comes_about(client, SERVER6)()
    stage.arguments = THROUGH6
    return gateway


# --- ARP

@fault("drop-rule")
def a_rule_stops_arp_requests_for_the_server(stage):
    gateway, client, server = stage.gateway("table arp f { chain o { type filter hook output priority 0; arp operation request arp daddr ip 10.0.1.2 counter drop; } }")
    stage.listen(server, 80)
    stage.meanwhile(lambda: knocks(client, "10.0.1.2", times=12))
    stage.arguments = THROUGH + ["--observe", f"{int(3500 * SLOWNESS)}ms"]
    return gateway


@fault("drop-rule")
def a_rule_has_stopped_what_answers_the_hosts_own_arp(stage):
    host, client = stage.pair("table arp f { chain i { type filter hook input priority 0; arp operation reply arp saddr ip 10.0.0.2 counter drop; } }")
    stage.listen(client, 80)
    try_to_connect(host, "10.0.0.2", 80, timeout=5 * SLOWNESS)
    stage.arguments = ["--destination", "10.0.0.2", "--dport", "80"]
    return host


@fault("no-route")
def a_rule_of_arp_stopped_nothing_and_the_server_is_gone(stage):
    host, client = stage.pair("table arp f { chain i { type filter hook input priority 0; arp operation reply arp saddr ip 10.0.0.9 counter drop; } }")
    try_to_connect(host, "10.0.0.77", 80, timeout=5 * SLOWNESS)
    stage.arguments = ["--destination", "10.0.0.77", "--dport", "80"]
    return host


@healthy
def a_rule_of_arp_stopped_others(stage):
    host, client = stage.pair("table arp f { chain o { type filter hook output priority 0; arp operation request arp daddr ip 10.0.0.9 counter drop; } }")
    stage.listen(host, 80)
    try_to_connect(host, "10.0.0.9", 80, timeout=0.3)
    works(client)
    stage.arguments = WEB
    return host


# --- the host's own addresses

def asked_of_a_duplicate(stage, other_has_it):
    host, client = stage.pair()
    host.sysctl("net.ipv6.conf.eth0.accept_dad", 1)
    host.sysctl("net.ipv6.conf.eth0.dad_transmits", 1)
    if other_has_it:
        client.ip("addr", "add", "2001:db8::77/64", "dev", "eth0", "nodad")
    host.ip("addr", "add", "2001:db8::77/64", "dev", "eth0")
    wait_until(lambda: (" tentative" not in (text := host.ip("-6", "addr", "show", "dev", "eth0").stdout)) or "dadfailed" in text, 10, "duplicates are looked for")
    if other_has_it:
        client.ip("addr", "del", "2001:db8::77/64", "dev", "eth0")
    stage.listen(host, 80, "::")
    stage.arguments = ["--source", "2001:db8::2", "--destination", "2001:db8::77", "--dport", "80"]
    return host, client


@fault("no-route")
def another_host_had_the_address(stage):
    host, client = asked_of_a_duplicate(stage, True)
    stage.expected_texts = ["is dadfailed"]
    return host


@healthy
def no_other_host_has_the_address(stage):
    host, client = asked_of_a_duplicate(stage, False)
    assert comes_about(client, "2001:db8::77")()
    return host


@fault("no-route")
def the_route_to_the_hosts_own_address_is_deleted(stage):
    host, client = stage.pair()
    stage.listen(host, 80)
    host.ip("route", "del", "local", "10.0.0.1", "dev", "eth0", "table", "local")
    stage.arguments = WEB
    stage.cure = comes_about(client, "10.0.0.1")
    return host


@fault("no-route")
def the_route_to_the_hosts_own_ipv6_address_is_deleted(stage):
    host, client = stage.pair()
    stage.listen(host, 80, "::")
    host.ip("-6", "route", "del", "local", "2001:db8::1", "dev", "eth0", "table", "local")
    stage.arguments = ["--source", "2001:db8::2", "--destination", "2001:db8::1", "--dport", "80"]
    stage.cure = comes_about(client, "2001:db8::1")
    return host


@fault("no-route")
def no_arp_is_answered_on_the_link(stage):
    host, client = stage.pair()
    stage.listen(host, 80)
    host.sysctl("net.ipv4.conf.eth0.arp_ignore", 8)
    stage.arguments = WEB
    stage.cure = comes_about(client, "10.0.0.1")
    return host


@healthy
def a_real_server_leaves_arp_for_the_service_to_the_director(stage):
    host, client = stage.pair(TRACK)
    host.ip("addr", "add", "10.0.0.50/32", "dev", "lo")
    host.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    stage.listen(host, 80)
    # The director sends to the link address that it knows.
    own = json.loads(host.run("ip", "-j", "link", "show", "eth0").stdout)[0]["address"]
    client.ip("neigh", "replace", "10.0.0.50", "lladdr", own, "dev", "eth0", "nud", "permanent")
    works(client, "10.0.0.50")
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.0.50", "--dport", "80"]
    return host


@healthy
def arp_is_answered_for_each_links_own_address(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80)
    host.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    works(client)
    stage.arguments = WEB + ["--destination", "10.0.0.1"]
    return host


@fault("rp-filter")
def another_host_sends_from_the_hosts_own_address(stage):
    gateway, client, server = stage.gateway()
    stage.listen(gateway, 80)
    works(client)  # with its own address: who asks from the host's is not told its link address
    client.ip("addr", "add", "10.0.1.1/32", "dev", "eth0")
    stage.meanwhile(lambda: knocks(client, "10.0.0.1", source="10.0.1.1", times=5))
    stage.arguments = ["--source", "10.0.1.1", "--destination", "10.0.0.1", "--dport", "80"] + WATCH
    return gateway


@healthy
def the_host_asks_itself_by_another_of_its_addresses(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.listen(gateway, 80)
    stage.meanwhile(lambda: knocks(gateway, "10.0.0.1", source="10.0.1.1"))
    stage.arguments = ["--source", "10.0.1.1", "--destination", "10.0.0.1", "--dport", "80"] + WATCH
    return gateway


def behind_another_link(stage):
    gateway, client, server = stage.gateway(TRACK)
    server.ip("addr", "add", "10.0.0.200/32", "dev", "eth0")
    gateway.ip("route", "add", "10.0.0.200/32", "dev", "eth1")
    stage.listen(server, 80)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.0.200", "--dport", "80"]
    return gateway, client


@fault("no-route")
def nobody_answers_arp_for_a_host_behind_another_link(stage):
    gateway, client = behind_another_link(stage)
    stage.meanwhile(lambda: knocks(client, "10.0.0.200"))
    stage.arguments += WATCH
    stage.cure = comes_about(client, "10.0.0.200")
    return gateway


@healthy
def the_gateway_answers_arp_for_a_host_behind_another_link(stage):
    gateway, client = behind_another_link(stage)
    gateway.sysctl("net.ipv4.conf.eth0.proxy_arp", 1)
    assert comes_about(client, "10.0.0.200")()
    return gateway


@healthy
def the_client_has_a_route_to_a_host_behind_another_link(stage):
    gateway, client = behind_another_link(stage)
    client.ip("route", "add", "10.0.0.200/32", "via", "10.0.0.1")
    works(client, "10.0.0.200")
    return gateway
