"""Connections that are really spoken: a client, a gateway that forwards and translates, a server.

    client 10.0.0.0/8, 2001:db8::/64 ── gateway (tracks; the daemon runs here) ── server 198.51.100.2, 2001:db8:2::2

The client owns whole prefixes through local routes, so that it can speak as any source.
"""

import contextlib
import select
import socket
import struct
import threading

from namespaces import SLOWNESS, Namespace, veth

SERVER = "198.51.100.2"
SERVER6 = "2001:db8:2::2"
ECHO_PORT = 7000
SILENT_PORT = 7001  # dropped by the server: SYN_SENT, UNREPLIED

IP_FREEBIND = (socket.IPPROTO_IP, 15)
IPV6_FREEBIND = (socket.IPPROTO_IPV6, 78)

# Masquerading hides 10.1.0.0/16 behind the gateway. 10.2.0.0/16 is in zone 5 both ways; 10.3.0.0/16 in zone 7
# in its original direction alone, its replies being found in the zone 0. The scrapes over loopback are not tracked:
# each would change what it counts.
RULES = """
table inet conntally_test {
  chain raw {
    type filter hook prerouting priority -300;
    iifname "lo" notrack
    ip saddr 10.2.0.0/16 ct zone set 5
    ip daddr 10.2.0.0/16 ct zone set 5
    ip saddr 10.3.0.0/16 ct original zone set 7
    ip6 saddr 2001:db8:0:0:2::/80 ct zone set 5
    ip6 daddr 2001:db8:0:0:2::/80 ct zone set 5
  }
  chain raw_out {
    type filter hook output priority -300;
    oifname "lo" notrack
  }
  chain forward {
    type filter hook forward priority 0;
    ct state new counter
  }
}
table ip conntally_test_nat {
  chain postrouting {
    type nat hook postrouting priority 100;
    ip saddr 10.1.0.0/16 oifname "to-server" masquerade
  }
}
"""

SERVER_RULES = f"""
table inet conntally_test {{
  chain in {{
    type filter hook input priority 0;
    tcp dport {SILENT_PORT} drop
    udp dport {SILENT_PORT} drop
  }}
}}
"""


class Network(contextlib.ExitStack):
    """The three namespaces, cabled and ruled."""

    def __enter__(self):
        super().__enter__()
        self.client = self.enter_context(Namespace("client"))
        self.gateway = self.enter_context(Namespace("gateway"))
        self.server = self.enter_context(Namespace("server"))
        veth(self.client, "to-gateway", ["192.0.2.2/30", "2001:db8:1::2/64"],
             self.gateway, "to-client", ["192.0.2.1/30", "2001:db8:1::1/64"])
        veth(self.gateway, "to-server", ["198.51.100.1/30", "2001:db8:2::1/64"],
             self.server, "to-gateway", ["198.51.100.2/30", "2001:db8:2::2/64"])
        self.client.ip("route", "add", "local", "10.0.0.0/8", "dev", "lo")
        self.client.ip("-6", "route", "add", "local", "2001:db8::/64", "dev", "lo")
        self.client.ip("route", "add", "default", "via", "192.0.2.1")
        self.client.ip("-6", "route", "add", "default", "via", "2001:db8:1::1")
        self.server.ip("route", "add", "default", "via", "198.51.100.1")
        self.server.ip("-6", "route", "add", "default", "via", "2001:db8:2::1")
        self.gateway.ip("route", "add", "10.0.0.0/8", "via", "192.0.2.2")
        self.gateway.ip("-6", "route", "add", "2001:db8::/64", "via", "2001:db8:1::2")
        self.gateway.sysctl("net.ipv4.ip_forward", 1)
        self.gateway.sysctl("net.ipv6.conf.all.forwarding", 1)
        # Neighbours are found before anything is tracked: a burst would be dropped while they are looked for.
        self.ping("10.0.0.1", 1)
        self.ping("2001:db8::1", 1)
        self.gateway.nft(RULES)
        self.server.nft(SERVER_RULES)
        self.callback(self._stop_echo)
        self._start_echo()
        return self

    def _start_echo(self):
        self._stopping = threading.Event()
        self._echo_sockets = []
        for family, address in ((socket.AF_INET, SERVER), (socket.AF_INET6, SERVER6)):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                listener = self.server.socket(family, kind)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, ECHO_PORT))
                if kind == socket.SOCK_STREAM:
                    listener.listen(1024)
                self._echo_sockets.append(listener)
        self._echo = threading.Thread(target=self._serve)
        self._echo.start()

    def _serve(self):
        accepted = {}
        poll = select.poll()
        by_descriptor = {listener.fileno(): listener for listener in self._echo_sockets}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        while not self._stopping.is_set():
            for descriptor, _ in poll.poll(50):
                listener = by_descriptor.get(descriptor)
                if listener is None:
                    self._echo_once(poll, accepted, descriptor)
                elif listener.type == socket.SOCK_DGRAM:
                    data, peer = listener.recvfrom(2048)
                    listener.sendto(data, peer)
                else:
                    connection, _ = listener.accept()
                    accepted[connection.fileno()] = connection
                    poll.register(connection, select.POLLIN)
        for connection in accepted.values():
            connection.close()

    @staticmethod
    def _echo_once(poll, accepted, descriptor):
        connection = accepted[descriptor]
        with contextlib.suppress(OSError):
            if data := connection.recv(2048):
                connection.sendall(data)
                return
        poll.unregister(descriptor)
        accepted.pop(descriptor).close()

    def _stop_echo(self):
        self._stopping.set()
        self._echo.join()
        for listener in self._echo_sockets:
            listener.close()

    def _bound(self, source, kind, protocol=0):
        made = self.client.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, kind, protocol)
        made.setsockopt(*(IPV6_FREEBIND if ":" in source else IP_FREEBIND), 1)
        made.settimeout(5 * SLOWNESS)
        made.bind((source, 0))
        return made

    def tcp(self, source, port=ECHO_PORT, server=None):
        """A TCP connection that has spoken; the caller closes it."""
        made = self._bound(source, socket.SOCK_STREAM)
        made.connect((server or (SERVER6 if ":" in source else SERVER), port))
        made.sendall(b"hello")
        assert made.recv(16) == b"hello"
        return made

    def tcp_unanswered(self, source):
        """A SYN that nobody answers; the caller closes it."""
        made = self._bound(source, socket.SOCK_STREAM)
        made.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            made.connect((SERVER6 if ":" in source else SERVER, SILENT_PORT))
        return made

    def udp(self, source, answered=True, port=None, server=None):
        with self._bound(source, socket.SOCK_DGRAM) as made:
            made.sendto(b"hello", (server or (SERVER6 if ":" in source else SERVER),
                                   port or (ECHO_PORT if answered else SILENT_PORT)))
            if answered:
                made.recvfrom(16)

    def ping(self, source, identifier):
        """One echo request; its reply is waited for."""
        ipv6 = ":" in source
        protocol = socket.getprotobyname("ipv6-icmp" if ipv6 else "icmp")
        with self._bound(source, socket.SOCK_RAW, protocol) as made:
            header = struct.pack("!BBHHH", 128 if ipv6 else 8, 0, 0, identifier, 1)
            if not ipv6:  # the kernel does it for ICMPv6
                header = struct.pack("!BBHHH", 8, 0, _checksum(header), identifier, 1)
            made.sendto(header, (SERVER6 if ipv6 else SERVER, 0))
            while True:
                answer = made.recv(2048)
                answer = answer if ipv6 else answer[(answer[0] & 15) * 4 :]
                if answer[0] == (129 if ipv6 else 0) and answer[4:6] == struct.pack("!H", identifier):
                    return


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
