"""Packets that a host drops: a client that speaks as any source, and the host, where the daemon runs."""

import contextlib
import socket

from namespaces import Namespace, know_each_other, veth

HOST = "192.0.2.1"
HOST6 = "2001:db8:1::1"
IP_FREEBIND = (socket.IPPROTO_IP, 15)
IPV6_FREEBIND = (socket.IPPROTO_IPV6, 78)


@contextlib.contextmanager
def client_and_host():
    with Namespace("client") as client, Namespace("host") as host:
        veth(client, "to-host", ["192.0.2.2/24", "2001:db8:1::2/64"], host, "to-client", [f"{HOST}/24", f"{HOST6}/64"])
        know_each_other(client, "to-host", ["192.0.2.2", "2001:db8:1::2"], host, "to-client", [HOST, HOST6])
        client.ip("route", "add", "local", "10.0.0.0/8", "dev", "lo")
        client.ip("-6", "route", "add", "local", "2001:db8::/64", "dev", "lo")
        host.ip("route", "add", "10.0.0.0/8", "via", "192.0.2.2")
        host.ip("-6", "route", "add", "2001:db8::/64", "via", "2001:db8:1::2")
        yield client, host


def send(namespace, source, packets, port, destination=None):
    """UDP packets from the source; ones refused on the way out are sent nonetheless."""
    ipv6 = ":" in source
    with namespace.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(*(IPV6_FREEBIND if ipv6 else IP_FREEBIND), 1)
        sender.bind((source, 0))
        for _ in range(packets):
            with contextlib.suppress(PermissionError):
                sender.sendto(b"x", (destination or (HOST6 if ipv6 else HOST), port))


def dropped(daemon):
    """{(source, rule, via): packets}, of whatever the API lists."""
    result = {}
    for row in daemon.sources(sort="drops")["sources"]:
        for share in row["drops"]:
            result[row["source"], share["rule"], share["via"]] = share["packets"]
    return result
