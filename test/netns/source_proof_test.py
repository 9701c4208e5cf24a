#!/usr/bin/env python3
"""What a source has shown that it is there: by packets, real and forged, through the real kernel."""

import socket
import struct

from harness import *
from traffic import ECHO_PORT, SERVER, SILENT_PORT, Network, _checksum

SYN, RST, ACK = 0x02, 0x04, 0x10


def forge(network, source, flags, port=ECHO_PORT, count=1, source_port=40_000):
    """TCP packets out of nothing, with sequence numbers that nobody gave."""
    with network.client.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        addresses = socket.inet_aton(source) + socket.inet_aton(SERVER)
        for i in range(count):
            sequence, acknowledged = 1000 + 70_000 * i, 0 if flags == SYN else 5000 + 70_000 * i
            tcp = struct.pack("!HHIIBBHHH", source_port, port, sequence, acknowledged, 5 << 4, flags, 1024, 0, 0)
            checksum = _checksum(addresses + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp)) + tcp)
            tcp = tcp[:16] + struct.pack("!H", checksum) + tcp[18:]
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0, addresses[:4],
                             addresses[4:])
            raw.sendto(ip + tcp, (SERVER, 0))


def shown(daemon, source):
    rows = daemon.sources(source=source)["sources"]
    return rows[0] if rows else None


def test_only_who_completes_a_handshake_is_proven_and_forgers_are_not():
    with Network() as network:
        older = network.tcp("10.0.0.9")
        network.gateway.sysctl("net.netfilter.nf_conntrack_udp_timeout", 2)
        with Daemon(network.gateway) as daemon:
            daemon.wait_ready()
            network.tcp("10.0.0.1").close()
            held = network.tcp("2001:db8::7")
            network.udp("10.0.0.2")
            network.udp("10.0.0.3", answered=False)
            silent = network.tcp_unanswered("10.0.0.4")
            # Nobody else owns these: what answers them goes nowhere, so that no RST takes the entry away.
            network.client.nft("table ip t { chain in { type filter hook prerouting priority -300; "
                               "ip daddr 10.0.1.0/24 drop; }; }\n")
            network.gateway.sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", 0)
            forge(network, "10.0.1.1", ACK)  # answered by a RST
            forge(network, "10.0.1.2", ACK, port=SILENT_PORT, count=5)  # enters as ESTABLISHED, and stays so
            forge(network, "10.0.1.3", SYN)  # answered by SYN/ACK
            forge(network, "10.0.1.3", ACK, count=50)  # and completed blindly
            forge(network, "10.0.1.4", SYN, port=9)  # refused
            proofs = {"10.0.0.1": "proven", "10.0.0.9": "proven", "2001:db8::7": "proven", "10.0.0.2": "answered",
                      "10.0.0.3": "unanswered", "10.0.0.4": "unanswered", "10.0.1.1": "unanswered",
                      "10.0.1.2": "unanswered", "10.0.1.3": "unanswered", "10.0.1.4": "unanswered"}

            def found():
                return {source: (shown(daemon, source) or {}).get("proof") for source in proofs}

            wait_until(lambda: found() == proofs, 5, "each source has shown what it should have")
            kernel = network.gateway.run("conntrack", "-L", "-s", "10.0.1.2").stdout
            assert "ESTABLISHED" in kernel and "UNREPLIED" in kernel, kernel
            time.sleep(2)
            assert found() == proofs, found()
            assert shown(daemon, "10.0.1.4")["failed"] == shown(daemon, "10.0.1.1")["failed"] == 1
            assert shown(daemon, "10.0.0.1")["failed"] == 0
            network.gateway.run("conntrack", "-D", "-p", "udp", check=False)
            wait_until(lambda: shown(daemon, "10.0.0.3")["failed"] == 1, 5, "nobody answered it")
            assert shown(daemon, "10.0.0.2")["failed"] == 0
            assert shown(daemon, "10.0.0.1")["regular"] is False
            for connection in (older, held, silent):
                connection.close()


main()
