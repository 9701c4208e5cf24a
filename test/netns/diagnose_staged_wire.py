"""What the wire shows: packets over loopback, and those that reach a bridge by a port; answers that leave and get nowhere, by another link or
from another address; and hosts that look like one of these, and work."""

import socket
import time

from diagnose_staged_healthy import works
from diagnose_staged_ways import WATCH, WEB, bridged, knocks
from diagnosis import *
from namespaces import SLOWNESS, veth

LONGER = ["--observe", f"{int(2500 * SLOWNESS)}ms"]  # an answer is lost if nothing follows it within a second
ITSELF = ["--source", "127.0.0.1", "--destination", "127.0.0.1", "--dport", "80"]


def goes_in(client, address="10.0.0.1", port=80):
    for _ in range(3):
        works(client, address, port)


@healthy
def a_host_asks_itself_over_loopback(stage):
    host, client = stage.pair()
    stage.listen(host, 80)
    stage.meanwhile(lambda: goes_in(host, "127.0.0.1"))
    stage.arguments = ITSELF + LONGER
    stage.expected_texts = ["3 connection attempts: 3 accepted", "0 repeated requests"]
    return host


@healthy
def a_host_asks_its_own_address(stage):
    host, client = stage.pair()
    stage.listen(host, 80, "::")
    stage.meanwhile(lambda: goes_in(host, "2001:db8::1"))
    stage.arguments = ["--source", "2001:db8::1", "--destination", "2001:db8::1", "--dport", "80", *LONGER]
    stage.expected_texts = ["3 connection attempts: 3 accepted"]
    return host


@fault("no-listener")
def a_host_asks_itself_where_nobody_listens(stage):
    host, client = stage.pair()
    stage.meanwhile(lambda: knocks(host, "127.0.0.1"))
    stage.arguments = ITSELF + WATCH
    stage.expected_texts = ["3 answered by a reset"]
    return host


@fault("drop-rule")
def a_rule_drops_what_the_host_asks_itself(stage):
    host, client = stage.pair("table inet f { chain i { type filter hook input priority 0; iif lo tcp dport 80 counter drop; } }")
    stage.listen(host, 80)
    stage.meanwhile(lambda: knocks(host, "127.0.0.1"))
    stage.arguments = ITSELF + WATCH
    stage.expected_texts = ["0 accepted"]
    return host


@fault("established-not-accepted", "drop-rule")
def answers_over_loopback_are_dropped(stage):
    host, client = stage.pair("table inet f { chain i { type filter hook input priority 0; iif lo tcp sport 80 counter drop; } }")
    stage.listen(host, 80)
    stage.meanwhile(lambda: knocks(host, "127.0.0.1"))
    stage.arguments = ITSELF + LONGER
    return host


PUBLISHED = "table ip n {{ chain p {{ type nat hook prerouting priority -100; ip daddr 192.0.2.1 tcp dport 80 dnat to {}; }}\n chain o {{ type nat hook postrouting priority 100; ct status dnat masquerade; }} }}"


def published(stage, to="10.0.0.3", of_the_port=False):
    """A guest of a bridge asks for a published port of the host, which leads to its neighbour: whose bridge has an address of its own, or not."""
    host, client, server = bridged(stage, PUBLISHED.format(to), through_ip_rules=1)
    host.ip("link", "set", "vnet0", "address", "02:00:00:00:00:10")
    host.ip("link", "set", "virbr0", "address", f"02:00:00:00:00:1{0 if of_the_port else 1}")
    host.ip("addr", "add", "192.0.2.1/32", "dev", "lo")
    host.sysctl("net.ipv4.ip_forward", 1)
    client.ip("route", "add", "192.0.2.1/32", "via", "10.0.0.1")
    stage.arguments = ["--source", "10.0.0.2", "--dport", "80", *LONGER]
    return host, client


@healthy
def a_guest_asks_a_published_port_by_a_bridge_with_an_address_of_its_own(stage):
    host, client = published(stage)
    stage.meanwhile(lambda: goes_in(client, "192.0.2.1"))
    stage.expected_texts = ["3 connection attempts: 3 accepted", "0 repeated requests"]
    return host


@healthy
def a_guest_asks_a_published_port_by_a_bridge_with_its_ports_address(stage):
    host, client = published(stage, of_the_port=True)
    stage.meanwhile(lambda: goes_in(client, "192.0.2.1"))
    stage.expected_texts = ["3 connection attempts: 3 accepted", "0 repeated requests"]
    return host


@healthy
def a_guest_asks_the_host_by_a_bridge_with_an_address_of_its_own(stage):
    host, client = published(stage)
    stage.listen(host, 80)
    stage.meanwhile(lambda: goes_in(client))
    stage.expected_texts = ["3 connection attempts: 3 accepted", "0 repeated requests"]
    return host


@fault("drop-rule")
def a_rule_drops_what_a_guest_asks_of_a_published_port(stage):
    host, client = published(stage)
    host.nft(on_lines("table ip f { chain f { type filter hook forward priority 0; iifname virbr0 ip saddr 10.0.0.2 counter drop; } }"))
    stage.meanwhile(lambda: knocks(client, "192.0.2.1"))
    stage.arguments = ["--source", "10.0.0.2", "--destination", "192.0.2.1", "--dport", "80", *WATCH]
    stage.expected_texts = ["3 connection attempts: 0 accepted"]
    return host


def answers_by(stage):
    """Policy routing sends what answers 10.0.0.2 by eth1."""
    gateway, client, server = stage.gateway()
    gateway.ip("rule", "add", "from", "10.0.0.1", "to", "10.0.0.0/24", "lookup", "66")
    gateway.ip("route", "add", "default", "via", "10.0.1.2", "table", "66")
    stage.listen(gateway, 80, "::")
    stage.arguments = WEB + LONGER
    return gateway, client, server


@fault("no-route")
def policy_routing_sends_answers_elsewhere(stage):
    gateway, client, server = answers_by(stage)
    server.sysctl("net.ipv4.ip_forward", 0)
    stage.meanwhile(lambda: knocks(client))
    stage.expected_texts = ["0 accepted", "3 were answered, but whoever asked does not go on", "arrive by eth0, and answers leave by eth1"]
    return gateway


@fault("no-route")
def policy_routing_sends_answers_elsewhere_and_every_client_is_asked_about(stage):
    gateway, client, server = answers_by(stage)
    server.sysctl("net.ipv4.ip_forward", 0)
    stage.meanwhile(lambda: knocks(client, times=6))
    stage.arguments = ["--dport", "80", "--observe", f"{int(4000 * SLOWNESS)}ms"]
    return gateway


@healthy
def policy_routing_sends_answers_elsewhere_and_they_get_there(stage):
    gateway, client, server = answers_by(stage)
    veth(client, "eth1", ["10.0.2.2/24"], server, "eth1", ["10.0.2.1/24"])
    server.ip("route", "add", "10.0.0.2/32", "via", "10.0.2.2")
    server.sysctl("net.ipv4.ip_forward", 1)
    for each in (client, server):
        each.sysctl("net.ipv4.conf.all.rp_filter", 0)
        each.sysctl("net.ipv4.conf.eth0.rp_filter", 0)
        each.sysctl("net.ipv4.conf.eth1.rp_filter", 0)
    stage.meanwhile(lambda: goes_in(client))
    stage.expected_texts = ["3 accepted"]
    return gateway


@healthy
def a_health_check_resets_what_accepts_it(stage):
    host, client = stage.pair()
    stage.listen(host, 80)
    # The client's kernel knows nothing of these, and resets.
    stage.meanwhile(lambda: [raw_tcp(client, [("10.0.0.2", 4000 + i, "10.0.0.1", 80, SYN) for i in range(3)]), time.sleep(1.5 * SLOWNESS)])
    stage.arguments = WEB + LONGER
    stage.expected_texts = ["3 connection attempts: 3 accepted"]
    return host


@healthy
def a_connection_that_stays_silent_is_accepted(stage):
    host, client = stage.pair()
    stage.listen(host, 80)
    stage.meanwhile(lambda: stage.hold(client, "10.0.0.1", 80))
    stage.arguments = WEB + LONGER
    stage.expected_texts = ["1 connection attempts: 1 accepted"]
    return host


def asks_one_of_two(stage, bound, family=socket.AF_INET, second="10.0.0.9", asked="10.0.0.9"):
    """A service of datagrams, on a host that gets a second address."""
    host, client = stage.pair()
    host.ip("addr", "add", f"{second}/{24 if family == socket.AF_INET else 64}", "dev", "eth0", *(["nodad"] if family == socket.AF_INET6 else []))
    service = stage.listen(host, 53, bound, kind=socket.SOCK_DGRAM)
    source = "10.0.0.2" if family == socket.AF_INET else "2001:db8::2"

    def asks():
        service.settimeout(0.3 * SLOWNESS)
        for _ in range(3):
            with client.socket(family, socket.SOCK_DGRAM) as asker:
                asker.connect((asked, 53))
                asker.send(b"x")
                service.sendto(b"y", service.recvfrom(10)[1])
        time.sleep(0.8 * SLOWNESS)

    stage.meanwhile(asks)
    stage.arguments = ["--source", source, "--destination", asked, "--dport", "53", "--protocol", "udp", *LONGER]
    return host


@fault("listener-other-address")
def datagrams_are_answered_from_the_hosts_first_address(stage):
    host = asks_one_of_two(stage, "0.0.0.0")
    stage.expected_texts = ["10.0.0.2 asks 10.0.0.9, and the answers leave from 10.0.0.1"]
    return host


@healthy
def datagrams_are_answered_from_the_address_that_was_asked(stage):
    host = asks_one_of_two(stage, "10.0.0.9")
    stage.expected_texts = ["3 connection attempts: 3 accepted"]
    return host


@fault("listener-other-address")
def ipv6_datagrams_are_answered_from_the_hosts_latest_address(stage):
    host = asks_one_of_two(stage, "::", socket.AF_INET6, "2001:db8::9", "2001:db8::1")  # the kernel prefers the latest
    stage.expected_texts = ["asks 2001:db8::1, and the answers leave from 2001:db8::9"]
    return host
