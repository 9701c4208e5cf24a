#!/usr/bin/env python3
"""Records what the kernel says about real flows: test/golden/conntrack/SCENARIO.bin.

    sudo test/support/record_conntrack.py [DIRECTORY]

Each scenario runs in a network namespace without a name, which ends with the process that made it:
there is nothing to clean up, even after a kill. All traffic stays on its loopback. A recording is
every datagram of the event socket and then of a dump, each as a 4-byte little-endian length and its
bytes. Netlink is in host byte order: record on a little-endian machine. Needs root, nft and ip.
"""
import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading
import time

NETLINK_NETFILTER = 12
GROUPS_NEW_UPDATE_DESTROY = 0b111
CT_NEW, CT_GET, CT_DELETE = 0x100, 0x101, 0x102
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
CLONE_NEWNET = 0x40000000

CLIENT, SERVER, ROUTER = "192.0.2.7", "198.51.100.1", "203.0.113.9"
CLIENT6, SERVER6 = "2001:db8::7", "2001:db8:1::1"
# Conntrack does nothing in a namespace until a rule there asks for a state.
TRACK = "table inet track { chain out { type filter hook output priority 0; ct state new counter; }; }\n"


def run(*command, **options):
    subprocess.run(command, check=True, text=True, **options)


def sysctl(name, value):
    with open(f"/proc/sys/net/netfilter/{name}", "w") as file:
        file.write(str(value))


# ---- traffic ----------------------------------------------------------------------------------

def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve_tcp(address, port, answer=None):
    listener = socket.socket(family(address))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()

    def accept():
        peer, _ = listener.accept()
        try:
            while data := peer.recv(100):
                peer.sendall(answer or data)
        except ConnectionResetError:
            pass
        peer.close()
        listener.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    return thread


def connect(source, port, destination, destination_port):
    client = socket.socket(family(source))
    client.bind((source, port))
    client.settimeout(5)
    client.connect((destination, destination_port))
    return client


def tcp(source, destination, port, listen=None):
    thread = serve_tcp(*(listen or (destination, port)))
    client = connect(source, 40000 + port, destination, port)
    client.sendall(b"hello")
    client.recv(100)
    client.close()
    thread.join(5)


def udp(source, destination, port, answered=True, protocol=0):
    server = socket.socket(family(destination), socket.SOCK_DGRAM, protocol)
    server.bind((destination, port))
    client = socket.socket(family(source), socket.SOCK_DGRAM, protocol)
    client.bind((source, 40000 + port))
    client.sendto(b"hello", (destination, port))
    if answered:
        server.settimeout(5)
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ping(source, destination, identifier, type=8):
    v6 = ":" in source
    raw = socket.socket(family(source), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
    raw.bind((source, 0))
    rest = struct.pack("!HH", identifier, 1) + bytes(12 if type == 13 else 8)
    sum = 0 if v6 else checksum(struct.pack("!BBH", type, 0, 0) + rest)
    raw.sendto(struct.pack("!BBH", 128 if v6 else type, 0, sum) + rest, (destination, 0))


def raw_ip(source, destination, protocol, payload):
    raw = socket.socket(family(source), socket.SOCK_RAW, protocol)
    raw.bind((source, 0))
    raw.sendto(payload, (destination, 0))


# ---- scenarios --------------------------------------------------------------------------------

def tcp_v4():
    tcp(CLIENT, SERVER, 443)


def tcp_v6():
    tcp(CLIENT6, SERVER6, 443)


def tcp_states():
    """A refused connection, one reset while established, one never answered, one half-open."""
    run("nft", "-f", "-", input="table ip hush { chain in { type filter hook input priority 0;"
                                " tcp dport 82 drop; tcp dport 83 tcp flags & (fin|ack) == fin|ack drop; }; }")
    try:
        connect(CLIENT, 40081, SERVER, 81)
    except ConnectionRefusedError:
        pass
    serve_tcp(SERVER, 84)
    client = connect(CLIENT, 40084, SERVER, 84)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    unanswered = socket.socket()
    unanswered.setblocking(False)
    unanswered.bind((CLIENT, 40082))
    unanswered.connect_ex((SERVER, 82))
    serve_tcp(SERVER, 83)
    connect(CLIENT, 40083, SERVER, 83).close()


def udp_v4():
    udp(CLIENT, SERVER, 53)
    udp(CLIENT, SERVER, 123, answered=False)


def udp_v6():
    udp(CLIENT6, SERVER6, 53)
    udp(CLIENT6, SERVER6, 123, answered=False)


def udp_bare():
    """Neither accounting nor timestamps."""
    sysctl("nf_conntrack_acct", 0)
    sysctl("nf_conntrack_timestamp", 0)
    udp(CLIENT, SERVER, 53)


def expiry():
    sysctl("nf_conntrack_udp_timeout", 1)
    udp(CLIENT, SERVER, 123, answered=False)
    time.sleep(2.5)


def icmp():
    ping(CLIENT, SERVER, 0x1234)
    ping(CLIENT, SERVER, 0x00FF, type=13)  # timestamp request
    ping(CLIENT6, SERVER6, 0xABCD)


def other_protocols():
    init = struct.pack("!BBHIIHHI", 1, 0, 20, 0x11223344, 65536, 1, 1, 7)  # an SCTP INIT chunk
    raw_ip(CLIENT, SERVER, 132, struct.pack("!HHII", 41000, 5060, 0, 0) + init)
    raw_ip(CLIENT, SERVER, 47, struct.pack("!HH", 0, 0x0800) + bytes(20))  # GRE
    raw_ip(CLIENT6, SERVER6, 47, struct.pack("!HH", 0, 0x86DD) + bytes(40))
    raw_ip(CLIENT, SERVER, 50, bytes(16))  # ESP: unknown to conntrack, without ports
    raw_ip(CLIENT, SERVER, 253, bytes(16))
    try:
        udp(CLIENT, SERVER, 99, protocol=136)
    except OSError:
        pass  # this kernel has no UDP-Lite sockets


def nat():
    run("nft", "-f", "-", input=f"""table ip nat {{
      chain out {{ type nat hook output priority -100; tcp dport 80 dnat to {SERVER}:8080; }}
      chain post {{ type nat hook postrouting priority 100; udp dport 53 snat to {ROUTER}:5000; }}; }}""")
    tcp(CLIENT, ROUTER, 80, listen=(SERVER, 8080))
    udp(CLIENT, SERVER, 53)


def zones():
    run("nft", "-f", "-", input="""table ip zones { chain raw { type filter hook output priority -300;
      udp dport 1001 ct zone set 11; udp sport 1001 ct zone set 11;
      udp dport 1002 ct original zone set 22;
      udp dport 1003 ct reply zone set 33; udp sport 1003 ct zone set 33; }; }""")
    for port in 1001, 1002, 1003:
        udp(CLIENT, SERVER, port)


def marks_and_labels():
    run("nft", "-f", "-", input="""table ip marks { chain out { type filter hook output priority 1;
      ct mark set 0x2a; ct label set 5; }; }""")
    udp(CLIENT, SERVER, 53)


def helper():
    """FTP: a helper's name, and an expected connection with its master's tuple."""
    run("nft", "-f", "-", input="""table ip help { ct helper ftp { type "ftp" protocol tcp; }
      chain out { type filter hook output priority 1; tcp dport 21 ct helper set "ftp"; }; }""")
    host = SERVER.replace(".", ",")
    serve_tcp(SERVER, 21, f"227 Entering Passive Mode ({host},{8000 >> 8},{8000 & 255}).\r\n".encode())
    control = connect(CLIENT, 40021, SERVER, 21)
    control.sendall(b"PASV\r\n")
    control.recv(100)
    serve_tcp(SERVER, 8000)
    connect(CLIENT, 48000, SERVER, 8000).close()
    control.close()


SCENARIOS = [tcp_v4, tcp_v6, tcp_states, udp_v4, udp_v6, udp_bare, expiry, icmp, other_protocols, nat, zones,
             marks_and_labels, helper]


# ---- recording --------------------------------------------------------------------------------

def netlink(groups=0):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.bind((0, groups))
    return sock


def request(kind, flags):
    return struct.pack("=IHHIIBBH", 20, kind, NLM_F_REQUEST | flags, 1, 0, socket.AF_UNSPEC, 0, 0)


def ask(sock, kind, flags):
    """The datagrams of the answer, up to NLMSG_DONE or the acknowledgement."""
    sock.send(request(kind, flags))
    while True:
        datagram = sock.recv(65536)
        yield datagram
        at = 0
        while at < len(datagram):
            length, type = struct.unpack_from("=IH", datagram, at)
            if type in (NLMSG_DONE, NLMSG_ERROR):
                return
            at += length + 3 & ~3


def drain(sock):
    sock.settimeout(0.2)
    try:
        while True:
            yield sock.recv(65536)
    except TimeoutError:
        return


def record(scenario, path):
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    run("ip", "link", "set", "lo", "up")
    for address in CLIENT, SERVER, ROUTER:
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    for address in CLIENT6, SERVER6:
        run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
    run("nft", "-f", "-", input=TRACK)
    for name in "events", "acct", "timestamp":
        sysctl(f"nf_conntrack_{name}", 1)
    events = netlink(GROUPS_NEW_UPDATE_DESTROY)
    scenario()
    datagrams = list(drain(events))
    datagrams += ask(netlink(), CT_GET, NLM_F_DUMP)
    list(ask(netlink(), CT_DELETE, NLM_F_ACK))  # empties the table of this namespace, and no other
    datagrams += drain(events)
    with open(path, "wb") as file:
        for datagram in datagrams:
            file.write(struct.pack("<I", len(datagram)) + datagram)
    print(f"{os.path.basename(path)}: {len(datagrams)} datagrams")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    directory = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../golden/conntrack")
    for scenario in SCENARIOS:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            record(scenario, os.path.join(directory, scenario.__name__ + ".bin"))
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            sys.exit(f"{scenario.__name__} failed")


if __name__ == "__main__":
    main()
