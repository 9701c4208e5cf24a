#!/usr/bin/env python3
"""Records what the kernel says of a firewall, for the tests of the rules' decoders: test/golden/rules/*.bin, in the manner of
record_conntrack.py (a length of 4 bytes, then a datagram, and so on). Needs root; works in a namespace of its own.

    unshare -n test/support/record_rules.py test/golden/rules
"""

import pathlib
import re
import socket
import struct
import subprocess
import sys

NATIVE = """
table inet t {
    counter named {
        packets 7 bytes 700
    }
    set blocked {
        type ipv4_addr
        flags interval
        elements = { 192.0.2.0/24, 198.51.100.7 }
    }
    set seen {
        type ipv4_addr
        size 100
        flags dynamic
        counter
        elements = { 203.0.113.5 counter packets 3 bytes 90 }
    }
    set held {
        type ipv4_addr
        size 65535
        flags dynamic
    }
    map fate {
        type inet_service : verdict
        elements = { 81 : drop, 82 : accept }
    }
    chain dropped {
        counter packets 5 bytes 50 drop
    }
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related counter accept
        ct state invalid drop
        iifname "lo" accept
        oifname != "eth*" counter packets 2 bytes 20 accept
        ip saddr @blocked counter packets 4 bytes 40 drop comment "black"
        ip saddr != 10.0.0.0/8 tcp dport 23 counter name named drop
        tcp dport vmap @fate
        ip saddr vmap { 192.0.2.1 : drop, 192.0.2.128/25 : drop }
        tcp dport { 80, 443, 8000-8080 } counter reject
        ip6 saddr 2001:db8::/32 udp sport 22-25 counter reject
        ip saddr 10.0.0.1-10.0.0.9 ip daddr 10.1.0.0/20 counter drop
        add @held { ip saddr ct count over 10 } counter drop
        tcp dport 22 ct count over 20 drop
        limit rate over 10/second burst 7 packets counter drop
        update @seen { ip saddr counter } counter
        log prefix "what " group 5 counter
        icmp type echo-request counter drop
        tcp flags & (syn | ack) == syn counter drop
        meta mark 5 jump dropped
        ip saddr . tcp dport { 10.0.0.1 . 22 } drop
        ip dscp 8 drop
    }
}
"""
IPTABLES = """*filter
:INPUT DROP [3:30]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
[1:10] -A INPUT -p tcp -m tcp --dport 81 -j DROP
[2:20] -A INPUT -s SOURCE ! -i eth+ -j REJECT
[3:30] -A INPUT ! -s HOST -i lo -p udp -m udp --sport 1:9 -m comment --comment "what for" -j ACCEPT
[4:40] -A INPUT -p tcp -m connlimit --connlimit-above 10 --connlimit-mask 24 -j DROP
[5:50] -A INPUT -p tcp -m conntrack --ctstate NEW,ESTABLISHED -m multiport --dports 1,2:5 -j mine
[6:60] -A INPUT -m hashlimit --hashlimit-above 10/sec --hashlimit-mode srcip --hashlimit-name NAME -j LOG --log-prefix "quick "
[7:70] -A INPUT -m limit --limit 6/min -j NFLOG --nflog-group 3 --nflog-prefix "slow"
[8:80] -A INPUT -m mark --mark 5 -g mine
[9:90] -A INPUT
[10:100] -A mine -m state --state INVALID -j RETURN
[11:110] -A mine -j DROP
COMMIT
"""
NETLINK_NETFILTER, SUBSYSTEM = 12, 10
GENERATION, TABLE, CHAIN, RULE, SET, ELEMENT, OBJECT = 16, 1, 4, 7, 10, 13, 19


def run(*command, input=None):
    return subprocess.run(command, input=input, text=True, check=True, stdout=subprocess.PIPE).stdout


def attribute(number, text):
    payload = text.encode() + b"\0"
    return struct.pack("=HH", 4 + len(payload), number) + payload + b"\0" * (-len(payload) % 4)


def ask(message, family=0, attributes=b"", dump=True):
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    body = struct.pack("=BBH", family, 0, 0) + attributes
    flags = 1 | (0x300 if dump else 4)
    netlink.send(struct.pack("=IHHII", 16 + len(body), SUBSYSTEM << 8 | message, flags, 0, 0) + body)
    while True:
        datagram = netlink.recv(1 << 16)
        kinds, rest = [], datagram
        while rest:
            length, kind = struct.unpack("=IH", rest[:6])
            kinds.append(kind)
            rest = rest[(length + 3) & ~3:]
        if any(kind < 0x10 for kind in kinds):
            keep = b""
            rest = datagram
            while rest:
                length, kind = struct.unpack("=IH", rest[:6])
                if kind >= 0x10:
                    keep += rest[:(length + 3) & ~3]
                rest = rest[(length + 3) & ~3:]
            if keep:
                yield keep
            return
        yield datagram


def write(path, datagrams):
    path.write_bytes(b"".join(struct.pack("=I", len(datagram)) + datagram for datagram in datagrams))


def record_nft(path, sets):
    datagrams = list(ask(GENERATION, dump=False))
    for message in (TABLE, CHAIN, SET, OBJECT):
        datagrams += ask(message)
    for family, table, name in sets:
        datagrams += ask(ELEMENT, family, attribute(1, table) + attribute(2, name))
    datagrams += ask(RULE)
    write(path, datagrams)


def record_legacy(path, family, level):
    reader = socket.socket(family, socket.SOCK_DGRAM)
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    info = ctypes.create_string_buffer(b"filter", 84)
    length = ctypes.c_uint32(84)
    assert libc.getsockopt(reader.fileno(), level, 64, info, ctypes.byref(length)) == 0
    size = struct.unpack_from("=I", info.raw, 80)[0]
    answer = ctypes.create_string_buffer(40 + size)
    struct.pack_into("=32sI", answer, 0, b"filter", size)
    length = ctypes.c_uint32(40 + size)
    assert libc.getsockopt(reader.fileno(), level, 65, answer, ctypes.byref(length)) == 0
    write(path, [info.raw, answer.raw[40:]])


def main(folder):
    run("nft", "-f", "-", input=NATIVE)
    sets = [(1, "t", name) for name in ("blocked", "seen", "held", "fate")]
    sets += [(1, "t", name) for name in sorted(set(re.findall(r"__(?:set|map)\d+", run("nft", "--debug=netlink", "list", "ruleset"))))]
    record_nft(folder / "native.bin", sets)
    run("nft", "flush", "ruleset")
    for tool, source, host in (("iptables", "10.1.0.0/16", "10.0.0.1"), ("ip6tables", "2001:db8::/32", "2001:db8::1")):
        rules = IPTABLES.replace("SOURCE", source).replace("HOST", host)
        run(f"{tool}-nft-restore", "-c", input=rules.replace("NAME", f"{tool}_nft"))
        record_nft(folder / f"{tool}_nft.bin", [])
        run("nft", "flush", "ruleset")
        run(f"{tool}-legacy-restore", "-c", input=rules.replace("NAME", f"{tool}_legacy"))
        ipv6 = tool == "ip6tables"
        record_legacy(folder / f"{tool}_legacy.bin", socket.AF_INET6 if ipv6 else socket.AF_INET, 41 if ipv6 else 0)


main(pathlib.Path(sys.argv[1]))
