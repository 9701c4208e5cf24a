#!/usr/bin/env python3
"""`conntally diagnose` names the rule that is at fault, in nftables, iptables-nft and the legacy tables; the traffic is really sent, and
what a client is told is what the diagnosis says; and the first command that it offers does help, lets nobody else in, and can be taken back. Sound
firewalls accuse nobody."""

import concurrent.futures
import contextlib
import dataclasses
import threading

from harness import *
from staged import *


@dataclasses.dataclass
class Case:
    name: str
    rules: str                  # nft, or iptables-restore's
    tool: str = "nft"           # nft, iptables-nft, iptables-legacy, ip6tables-nft, ip6tables-legacy
    first: str = ""             # the finding's id; empty: a sound firewall
    says: str = ""              # in its evidence
    told: str = "open"          # what a client is told
    way: str = "in"             # in: client to host; through: client to server; out: server to client; own: host to client; hairpin: server to host
    port: int = 80
    address: str = ""           # other than the way's
    arguments: tuple = None     # other than the way's
    cure: str = "open"          # what a client is told after the first command; "": it is not tried
    before: object = None       # something to do first, with the stage
    meanwhile: bool = False     # clients go on trying during the diagnosis
    settled: object = None      # waits, with the stage, until what the command allows has come about
    others: bool = True         # somebody else tries, too; not where that would be part of the fault


def iptables(filter="", nat="", raw="", policies=("ACCEPT", "ACCEPT", "ACCEPT"), chains=""):
    text = ""
    if raw:
        text += f"*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{raw}\nCOMMIT\n"
    if nat:
        text += f"*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n{nat}\nCOMMIT\n"
    heads = "".join(f":{chain} {policy} [0:0]\n" for chain, policy in zip(("INPUT", "FORWARD", "OUTPUT"), policies))
    return text + f"*filter\n{heads}{chains}{filter}\nCOMMIT\n"


def nft_input(body, policy="accept", more=""):
    return f"table inet filter {{\n{more}\nchain input {{\ntype filter hook input priority 0; policy {policy};\n{body}\n}}\n}}\n"


def nft_hook(hook, body, policy="accept", family="inet", table="filter"):
    return f"table {family} {table} {{\nchain {hook} {{\ntype filter hook {hook} priority 0; policy {policy};\n{body}\n}}\n}}\n"


ESTABLISHED = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p ipv6-icmp -j ACCEPT\n"
MASQUERADE = "-A POSTROUTING -s 10.0.0.0/24 -o wan0 -j MASQUERADE"
DNAT = f"-A PREROUTING -i wan0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination {SERVER}:80"


def hold(count):
    """Connections of the client that stay open."""
    def act(stage):
        stage.held = [Namespace.connect(stage.client, HOST, 80) for _ in range(count)]
    return act


def send_datagrams(stage):
    """As many of the client's as make a rule suspicious."""
    with stage.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((CLIENT, 0))
        for _ in range(150):
            sender.sendto(b"x", (HOST, 5005))


def ask_neighbour_anew(stage):
    """What was asked in vain is asked again after a while only: the echo waits for that, and for its answer."""
    stage.host.run("ping", "-6", "-c1", f"-W{int(5 * SLOWNESS)}", CLIENT6, check=False)


UFW = iptables("""-A INPUT -j ufw-before-input
-A INPUT -j ufw-user-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-not-local -j DROP
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name DEFAULT --mask 255.255.255.255 --rsource
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 --name DEFAULT --mask 255.255.255.255 --rsource -j REJECT
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -p tcp -m multiport --dports 80,443 -j ACCEPT
""", policies=("DROP", "DROP", "ACCEPT"), chains=":ufw-before-input - [0:0]\n:ufw-user-input - [0:0]\n:ufw-not-local - [0:0]\n")
DOCKER = iptables("""-A FORWARD -o lan0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o lan0 -j DOCKER
-A FORWARD -i lan0 ! -o lan0 -j ACCEPT
-A DOCKER -d 10.0.0.2/32 ! -i lan0 -o lan0 -p tcp -m tcp --dport 80 -j ACCEPT
""", nat="""-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.0.0.0/24 ! -o lan0 -j MASQUERADE
-A DOCKER ! -i lan0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80
""", policies=("ACCEPT", "DROP", "ACCEPT"), chains=":DOCKER - [0:0]\n").replace(
    ":POSTROUTING ACCEPT [0:0]\n", ":POSTROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n")
KUBERNETES = iptables("-A FORWARD -j KUBE-FORWARD\n-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n", nat=f"""-A PREROUTING -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-SERVICES -d {HOST}/32 -p tcp -m tcp --dport 8443 -j KUBE-SVC
-A KUBE-SVC -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SVC -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-1
-A KUBE-SVC -j KUBE-SEP-2
-A KUBE-SEP-1 -p tcp -m tcp -j DNAT --to-destination {SERVER}:80
-A KUBE-SEP-2 -p tcp -m tcp -j DNAT --to-destination {SERVER}:443
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
""", chains=":KUBE-FORWARD - [0:0]\n").replace(":POSTROUTING ACCEPT [0:0]\n", ":POSTROUTING ACCEPT [0:0]\n" + "".join(f":KUBE-{name} - [0:0]\n" for name in ("SERVICES", "SVC", "SEP-1", "SEP-2", "POSTROUTING")))
FIREWALLD = """
table inet firewalld {
chain filter_PREROUTING {
type filter hook prerouting priority filter + 10; policy accept;
icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
meta nfproto ipv6 fib saddr . mark . iif oif missing drop
}
chain filter_INPUT {
type filter hook input priority filter + 10; policy accept;
ct state { established, related } accept
ct status dnat accept
iifname "lo" accept
ct state invalid drop
jump filter_INPUT_ZONES
reject with icmpx admin-prohibited
}
chain filter_INPUT_ZONES {
iifname vmap { "wan0" : goto filter_IN_public, "lan0" : goto filter_IN_internal }
goto filter_IN_public
}
chain filter_IN_internal {
accept
}
chain filter_IN_public {
jump filter_IN_public_allow
meta l4proto { icmp, ipv6-icmp } accept
reject with icmpx admin-prohibited
}
chain filter_IN_public_allow {
tcp dport 80 accept
}
}
"""

FAULTS = [
    # nftables, INPUT
    Case("nft reject by port", nft_input("tcp dport 80 counter reject"), first="reject-rule", says="handle", told="refused"),
    Case("nft drop by source", nft_input(f"ip saddr {CLIENT} counter drop"), first="drop-rule", says=f"ip saddr {CLIENT} counter drop", told="silent"),
    Case("nft drop policy", nft_input("ct state established,related accept\ntcp dport 22 accept", "drop"), first="drop-policy", told="silent"),
    Case("nft accept too late", nft_input("ct state established,related accept\ntcp dport 22 accept\nreject with icmpx admin-prohibited\ntcp dport 80 accept"),
         first="late-accept", told="refused"),
    Case("nft set of sources", nft_input("ip saddr @bad drop", more="set bad { type ipv4_addr; flags interval; elements = { 192.0.2.0/29 } }"), first="drop-rule", says="@bad",
         told="silent"),
    Case("nft verdict map", nft_input("ct state vmap { established : accept, related : accept, invalid : drop }\ntcp dport vmap { 22 : accept, 80 : drop }"), first="drop-rule",
         says="vmap", told="silent"),
    Case("nft concatenation", nft_input(f"ip saddr . tcp dport {{ {CLIENT} . 80, 198.51.100.1 . 22 }} reject with tcp reset"), first="reject-rule", told="refused"),
    Case("nft named ports, not this one", nft_input("ct state established,related accept\ntcp dport @open accept", "drop", more="set open { type inet_service; elements = { 22, 443 } }"),
         first="drop-policy", told="silent"),
    Case("nft jump into a chain", nft_input("tcp dport 80 jump web", more="chain web {\nip saddr 198.51.100.0/24 accept\ncounter drop\n}"), first="drop-rule", says="chain web",
         told="silent"),
    Case("nft second table drops", nft_input("tcp dport 80 accept", "drop") + "table ip late {\nchain in {\ntype filter hook input priority 10;\ntcp dport 80 counter drop\n}\n}\n",
         first="drop-rule", says="table ip late", told="silent"),
    Case("nft IPv6 reject", nft_input(f"ip6 saddr {CLIENT6} tcp dport 80 counter reject with tcp reset"), first="reject-rule", told="refused", address=HOST6),
    Case("nft IPv6 policy", nft_input("meta l4proto ipv6-icmp accept\nct state established,related accept\nip protocol tcp accept", "drop"), first="drop-policy", told="silent",
         address=HOST6),
    Case("nft prerouting drop", "table ip early {\nchain pre {\ntype filter hook prerouting priority raw;\niifname \"wan*\" tcp dport 80 counter drop\n}\n}\n", first="drop-rule",
         says="chain pre", told="silent"),
    Case("nft device's ingress", "table netdev guard {\nchain in {\ntype filter hook ingress device wan0 priority 0;\ntcp dport 80 counter drop\n}\n}\n", first="drop-rule",
         says="table netdev guard", told="silent"),
    Case("nft ban before an accept for all", nft_input("ct state established,related accept\nip saddr @banned reject\ntcp dport 80 accept", "drop",
         more=f"set banned {{ type ipv4_addr; elements = {{ {CLIENT} }} }}"), first="reject-rule", says="@banned", told="refused"),
    Case("nft neighbour discovery not accepted", nft_input("ct state established,related accept\ntcp dport 80 accept", "drop"), first="drop-policy", says="policy drop", told="silent",
         address=HOST6, before=lambda stage: stage.host.run("ip", "-6", "neigh", "flush", "dev", "wan0"), settled=ask_neighbour_anew),
    Case("nft redirected to a closed port", "table ip nat {\nchain pre {\ntype nat hook prerouting priority dstnat;\ntcp dport 80 redirect to :8999\n}\n}\n", first="no-listener",
         says="redirects port 80", told="refused", cure=""),
    # nftables, OUTPUT and answers
    Case("nft device's egress", "table netdev guard {\nchain out {\ntype filter hook egress device wan0 priority 0;\ntcp sport 80 counter drop\n}\n}\n",
         first="established-not-accepted", says="table netdev guard", told="silent"),
    Case("nft output drop", nft_hook("output", "tcp dport 80 counter drop"), first="drop-rule", told="silent", way="own"),
    Case("nft answers not let out", nft_hook("output", "oifname \"lo\" accept\nmeta l4proto ipv6-icmp accept", "drop"), first="established-not-accepted", told="silent"),
    Case("nft answers to own connections", nft_input("iifname \"lo\" accept\ntcp dport 22 accept\nmeta l4proto ipv6-icmp accept", "drop"), first="established-not-accepted",
         told="silent", way="own"),
    # nftables, FORWARD and NAT
    Case("nft forward policy", nft_hook("forward", "ct state established,related accept\ntcp dport 22 accept", "drop"), first="drop-policy", told="silent", way="through"),
    Case("nft DNAT not forwarded", "table ip nat {\nchain pre {\ntype nat hook prerouting priority dstnat;\niifname wan0 tcp dport 8080 dnat to 10.0.0.2:80\n}\n}\n"
         + nft_hook("forward", "ct state established,related accept\ntcp dport 443 accept", "drop"), first="dnat-not-forwarded", told="silent", port=8080),
    Case("nft no masquerade", nft_hook("forward", "counter accept"), first="no-masquerade", told="silent", way="out"),
    Case("nft stops both ways", nft_hook("forward", "tcp dport 22 accept\ncounter drop"), first="drop-rule", told="silent", way="through"),
    Case("nft DNAT back into its own network", "table ip nat {\nchain pre {\ntype nat hook prerouting priority dstnat;\ntcp dport 8080 dnat to 10.0.0.2:80\n}\n}\n" + nft_hook("forward", "counter accept"),
         first="no-masquerade", told="silent", way="hairpin", port=8080),
    Case("nft ct count reached", nft_input("tcp dport 80 ct state new add @held { ip saddr ct count over 4 } counter reject with tcp reset",
         more="set held { type ipv4_addr; size 1000; flags dynamic; }"), first="source-at-limit", told="refused", before=hold(4), cure=""),
    Case("nft goto, from which nobody comes back", nft_input("ct state established,related accept\niifname \"lo\" accept\nmeta l4proto ipv6-icmp accept\ngoto rest", "drop", more="chain rest {\ntcp dport 22 accept\n}"),
         first="drop-policy", told="silent"),
    # iptables-nft
    Case("iptables-nft RETURN before the policy", iptables(ESTABLISHED + "-A INPUT -s 192.0.2.0/24 -p tcp -j RETURN\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", policies=("DROP", "ACCEPT", "ACCEPT")),
         "iptables-nft", "drop-policy", "policy drop", "silent"),
    Case("iptables-nft DROP of a mark, a flag, a state and a type", iptables("-A INPUT -i wan+ -p tcp -m tcp --dport 80:90 --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -m mark --mark 0x0/0xf0 -m addrtype --dst-type LOCAL -j DROP"),
         "iptables-nft", "drop-rule", "--tcp-flags", "silent"),
    Case("nft drop of a mark, a flag and a state", nft_input("iifname \"wan*\" tcp dport { 80, 443 } tcp flags & (fin | syn | rst | ack) == syn ct state new meta mark & 0xf0 == 0x0 drop"),
         first="drop-rule", told="silent"),
    Case("iptables-nft REJECT", iptables("-A INPUT -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset"), "iptables-nft", "reject-rule", "line 1", "refused"),
    Case("iptables-nft DROP in a chain", iptables(ESTABLISHED + f"-A INPUT -j guard\n-A guard -s {CLIENT} -p tcp -m multiport --dports 80,443 -j DROP\n-A guard -j RETURN",
         chains=":guard - [0:0]\n"), "iptables-nft", "drop-rule", "chain guard, line 1", "silent"),
    Case("iptables-nft policy", iptables(ESTABLISHED + "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", policies=("DROP", "ACCEPT", "ACCEPT")), "iptables-nft", "drop-policy",
         "policy drop", "silent"),
    Case("iptables-nft ACCEPT too late", iptables(ESTABLISHED + "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n"
         "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"), "iptables-nft", "late-accept", "line 6", "refused"),
    Case("iptables-nft FORWARD DROP", iptables("-A FORWARD -i wan0 -o lan0 -p tcp -m tcp --dport 80 -j DROP"), "iptables-nft", "drop-rule", "chain FORWARD, line 1", "silent",
         "through"),
    Case("iptables-nft masquerade for another net", iptables("-A FORWARD -j ACCEPT", nat="-A POSTROUTING -s 10.9.0.0/24 -o wan0 -j MASQUERADE"), "iptables-nft", "no-masquerade",
         "10.9.0.0/24", "silent", "out"),
    Case("iptables-nft DNAT, FORWARD policy", iptables("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", nat=DNAT, policies=("ACCEPT", "DROP", "ACCEPT")), "iptables-nft",
         "dnat-not-forwarded", "policy drop", "silent", port=8080),
    Case("iptables-nft no ESTABLISHED for answers", iptables("-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", policies=("DROP", "ACCEPT", "ACCEPT")),
         "iptables-nft", "established-not-accepted", "", "silent", "own"),
    Case("ip6tables-nft REJECT", iptables("-A INPUT -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset"), "ip6tables-nft", "reject-rule", "table ip6", "refused", address=HOST6),
    Case("iptables-nft DOCKER-USER bans a net", iptables("-A FORWARD -j DOCKER-USER\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -o lan0 -p tcp -m tcp --dport 80 -j ACCEPT\n"
         "-A DOCKER-USER -s 192.0.2.0/24 -i wan0 -j DROP\n-A DOCKER-USER -j RETURN", nat=DNAT, policies=("ACCEPT", "DROP", "ACCEPT"), chains=":DOCKER-USER - [0:0]\n"), "iptables-nft",
         "drop-rule", "chain DOCKER-USER, line 1", "silent", port=8080),
    Case("ufw-like, port not opened", UFW, "iptables-nft", "drop-policy", "chain INPUT", "silent", port=8080),
    # legacy
    Case("legacy DROP", iptables(ESTABLISHED + "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 80 -j DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"), "iptables-legacy",
         "drop-rule", "line 4", "silent"),
    Case("legacy ACCEPT too late", iptables("-A INPUT -p tcp -m tcp --dport 80 -j REJECT\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"), "iptables-legacy", "late-accept", "line 2",
         "refused"),
    Case("legacy OUTPUT REJECT", iptables(f"-A OUTPUT -d {CLIENT} -p tcp -m tcp --dport 80 -j REJECT"), "iptables-legacy", "reject-rule", "chain OUTPUT", "refused", "own"),
    Case("legacy raw DROP", iptables(raw="-A PREROUTING -i wan0 -p tcp -m tcp --dport 80 -j DROP"), "iptables-legacy", "drop-rule", "table ip raw", "silent"),
    Case("legacy connlimit reached", iptables("-A INPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m connlimit --connlimit-above 3 --connlimit-mask 32 -j REJECT --reject-with tcp-reset"),
         "iptables-legacy", "source-at-limit", "connlimit", "refused", before=hold(3)),
    Case("legacy ESTABLISHED behind a drop", iptables("-A INPUT -p tcp -m tcp --sport 80 -j DROP\n" + ESTABLISHED), "iptables-legacy", "established-not-accepted",
         "accepts too late", "silent", "own"),
    Case("ip6tables-legacy policy", iptables(ESTABLISHED, policies=("DROP", "ACCEPT", "ACCEPT")), "ip6tables-legacy", "drop-policy", "table ip6 filter", "silent",
         address=HOST6),
]

# Nothing, or little, is said of the traffic: it is seen, or the rules tell by themselves.
WATCH = ("--observe", "1500ms")
UNASKED = [
    Case("nft reject, seen", nft_input("tcp dport 80 counter reject with tcp reset"), first="reject-rule", told="refused", arguments=WATCH, meanwhile=True),
    Case("legacy DROP, seen", iptables("-A INPUT -p tcp -m tcp --dport 80 -j DROP"), "iptables-legacy", "drop-rule", "table ip filter", "silent", arguments=WATCH, meanwhile=True),
    Case("legacy policy, seen", iptables(ESTABLISHED, policies=("DROP", "ACCEPT", "ACCEPT")), "iptables-legacy", "drop-policy", "policy drop", "silent", arguments=WATCH,
         meanwhile=True, cure=""),
    Case("accept behind an unconditional reject", iptables("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"),
         "iptables-nft", "late-accept", "line 3", "refused", arguments=(), cure=""),
    Case("no ESTABLISHED", iptables("-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", policies=("DROP", "ACCEPT", "ACCEPT")), "iptables-nft",
         "established-not-accepted", "policy drop", "silent", "own", arguments=()),
    Case("DNAT, not forwarded", iptables("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", nat=DNAT, policies=("ACCEPT", "DROP", "ACCEPT")), "iptables-nft",
         "dnat-not-forwarded", "policy drop", "silent", port=8080, arguments=(), cure=""),
    Case("no masquerade, seen", nft_hook("forward", "ct state vmap { invalid : drop }\naccept"), first="no-masquerade", told="silent", way="out", arguments=(), others=False),
    Case("connlimit, seen", iptables("-A INPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m connlimit --connlimit-above 3 --connlimit-mask 32 -j REJECT --reject-with tcp-reset"),
         "iptables-nft", "source-at-limit", "connlimit", "refused", before=hold(3), arguments=()),
    Case("hashlimit, seen", iptables("-A INPUT -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -m hashlimit --hashlimit-above 1/min --hashlimit-burst 1 --hashlimit-mode srcip "
         "--hashlimit-name tight -j DROP"), "iptables-legacy", "source-at-limit", "hashlimit", "silent", arguments=WATCH, meanwhile=True, others=False,
         before=lambda stage: [stage.connect(stage.client, HOST, 80) for _ in range(2)]),
    Case("nothing counts it, seen", nft_input("tcp dport 80 drop"), first="drop-rule", says="chain input, line 1", told="silent", arguments=WATCH, meanwhile=True),
    Case("nft policy, seen", nft_hook("forward", "ct state established,related accept\ntcp dport 22 accept", "drop"), first="drop-policy", told="silent", way="through", arguments=WATCH,
         meanwhile=True),
    Case("limit that nothing counts, seen", nft_input("tcp dport 80 ct state new limit rate over 1/minute burst 1 packets drop"), first="source-at-limit", says="seen to fail", told="silent",
         arguments=("--source", CLIENT, "--dport", 80, *WATCH), meanwhile=True, before=lambda stage: [stage.connect(stage.client, HOST, 80) for _ in range(2)], cure=""),
    Case("a port alone", nft_input("ct state established,related accept\ntcp dport 22 accept", "drop"), first="drop-policy", told="silent", arguments=("--dport", 80), cure=""),
    Case("a source alone, banned", nft_input("ip saddr @banned reject with tcp reset", more=f"set banned {{ type ipv4_addr; flags timeout; elements = {{ {CLIENT} timeout 1h }} }}"),
         first="reject-rule", says="@banned", told="refused", arguments=("--source", CLIENT)),
    Case("a source alone, one port", nft_input(f"ip saddr {CLIENT} tcp dport 80 drop"), first="drop-rule", told="silent", arguments=("--source", CLIENT)),
    Case("a ban of one source that counts", iptables(ESTABLISHED + f"-A INPUT -s {CLIENT}/32 -j DROP\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", policies=("DROP", "ACCEPT", "ACCEPT")),
         "iptables-nft", "drop-rule", f"-s {CLIENT}/32 -j DROP", "silent", arguments=(), before=send_datagrams),
    Case("a drop of everybody's that counts", iptables(ESTABLISHED + "-A INPUT -p udp -m udp --dport 5005 -j DROP"), "iptables-nft", "drop-rule", "--dport 5005", "open", arguments=(),
         before=send_datagrams, cure=""),
    Case("LOG left over", iptables('-A INPUT -p tcp -m tcp --dport 80 -j LOG --log-prefix "DEBUG: "'), "iptables-nft", "debug-log-rule", "DEBUG", "open", arguments=()),
]

SOUND = [
    Case("no rules at all", ""),
    Case("nft default drop, right accepts", nft_input("ct state vmap { established : accept, related : accept, invalid : drop }\niif lo accept\nmeta l4proto { icmp, ipv6-icmp } accept\n"
         "tcp dport { 22, 80, 443 } accept\ncounter", "drop")),
    Case("iptables-nft default drop, right accepts", iptables(ESTABLISHED + "-A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT", policies=("DROP", "DROP", "ACCEPT")), "iptables-nft"),
    Case("legacy default drop, right accepts", iptables(ESTABLISHED + "-A INPUT -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -j ACCEPT", policies=("DROP", "DROP", "ACCEPT")), "iptables-legacy"),
    Case("ufw-like", UFW, "iptables-nft"),
    Case("fail2ban-like sets of others", nft_input("ip saddr @banned reject\nct state established,related accept\ntcp dport { 22, 80 } accept\nicmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
         "drop", more="set banned { type ipv4_addr; flags timeout; elements = { 198.51.100.7 timeout 1h, 203.0.113.9 timeout 1h } }")),
    Case("limits never reached", iptables(ESTABLISHED + "-A INPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m connlimit --connlimit-above 100 --connlimit-mask 32 -j REJECT\n"
         "-A INPUT -p tcp -m tcp --dport 80 -m hashlimit --hashlimit-above 1000/sec --hashlimit-mode srcip --hashlimit-name web -j DROP\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",
         policies=("DROP", "ACCEPT", "ACCEPT")), "iptables-legacy"),
    Case("docker-like, into a container", DOCKER, "iptables-nft", port=8080),
    Case("docker-like, out of a container", DOCKER, "iptables-nft", way="out"),
    Case("kubernetes-like, one of two endpoints", KUBERNETES, "iptables-nft", port=8443),
    Case("redirected on a host", "table ip nat {\nchain pre {\ntype nat hook prerouting priority dstnat;\ntcp dport 81 redirect to :8080\n}\n}\n"
         + nft_input("ct state established,related accept\ntcp dport 8080 accept", "drop"), port=81),
    Case("firewalld-like", FIREWALLD),
    Case("firewalld-like, IPv6", FIREWALLD, address=HOST6),
    Case("router with masquerade", "table ip nat {\nchain post {\ntype nat hook postrouting priority srcnat;\noifname wan0 masquerade\n}\n}\n"
         + nft_hook("forward", "ct state established,related accept\niifname lan0 accept", "drop"), way="out"),
    Case("IPv6 default drop, right accepts", nft_input("ct state established,related accept\nicmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept\n"
         "ip6 nexthdr tcp tcp dport 80 accept", "drop"), address=HOST6),
]
# What tells of the host's upkeep, and of nothing that was staged here.
UPKEEP = {"events-off", "unpersisted-sysctl", "conntrack-inactive", "buckets-too-few", "timeouts-too-long", "nothing-found", "table-full", "boot-burst"}


def arguments_of(case):
    if case.arguments is not None:
        return case.arguments
    ipv6 = ":" in case.address
    client, server = (CLIENT6, SERVER6) if ipv6 else (CLIENT, SERVER)
    return {"hairpin": ("--source", SERVER, "--destination", HOST, "--dport", case.port), "in": ("--source", client, "--dport", case.port), "through": ("--source", client, "--destination", server, "--dport", case.port),
            "out": ("--source", server, "--destination", client, "--dport", case.port), "own": ("--destination", client, "--dport", case.port)}[case.way]


def attempt(stage, case, port=None, by_another=False):
    ipv6 = ":" in case.address
    client, host, server = (CLIENT6, HOST6, SERVER6) if ipv6 else (CLIENT, HOST, SERVER)
    origin, address, source = {"hairpin": (stage.server, HOST, SERVER), "in": (stage.client, host, client), "through": (stage.client, server, client),
                               "out": (stage.server, client, server), "own": (stage.host, client, None)}[case.way]
    return stage.connect(origin, address, port or case.port, OTHERS[source] if by_another else source)


def told_to_all(stage, case):
    """What the client is told, and what somebody else is, at the same port and at another."""
    others = [] if case.way == "own" or not case.others else [(case.port, True), (443, True), (22, True)]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda each: attempt(stage, case, *each), [(None, False), *others]))
    return told[0], told[1:]


def set_up(stage, case):
    stage.clear()
    # The client knows the way to the inner net only where the case is not about its lack.
    for family, net, gateway in (("-4", "10.0.0.0/24", HOST), ("-6", "fd00:1::/64", HOST6)):
        wanted = case.way == "through"
        stage.client.ip(family, "route", "replace" if wanted else "del", net, *(["via", gateway] if wanted else [])) if wanted or stage.client.ip(family, "route", "show", net).stdout else None
    if case.tool == "nft":
        stage.host.nft(case.rules) if case.rules else None
    else:
        stage.host.run(f"{case.tool}-restore", input=case.rules)
    stage.held = []
    if case.before:
        case.before(stage)


def relevant(report):
    return [finding for finding in report["findings"] if finding["id"] not in UPKEEP]


@contextlib.contextmanager
def meanwhile(stage, case):
    """Clients that go on trying."""
    over = threading.Event()

    def act():
        while not over.is_set():
            attempt(stage, case)
            over.wait(0.02)

    threads = [threading.Thread(target=act) for _ in range(4 if case.meanwhile else 0)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def check_fault(stage, case, rows):
    set_up(stage, case)
    rules = stage.rules()
    told, others = told_to_all(stage, case)
    with meanwhile(stage, case):
        report = stage.diagnose(*arguments_of(case))
    findings = relevant(report)
    first = findings[0] if findings else {"id": "nothing", "evidence": [], "fix": [], "certainty": 0, "title": ""}
    wrong = []
    if told != case.told:
        wrong.append(f"the client was told {told}, not {case.told}")
    if first["id"] != case.first:
        wrong.append(f"{[finding['id'] for finding in findings]}")
    if case.says and not any(case.says in line for line in first["evidence"]):
        wrong.append(f"no {case.says!r} in {first['evidence']}")
    cured = ""
    if case.cure and first["fix"]:
        command = first["fix"][0]["command"]
        done = stage.host.run("sh", "-c", command, check=False)
        if case.settled:
            case.settled(stage)
        cured, others_then = told_to_all(stage, case)
        if done.returncode != 0 or cured != case.cure:
            wrong.append(f"after `{command}` (exit {done.returncode} {done.stderr.strip()}) the client is told {cured}")
        # What answers no new packet opens nothing, but it may be all that somebody else lacked, too: the fault was everybody's.
        everybodys = first["id"] == "established-not-accepted" or "neighbour discovery" in first["title"]
        if others_then != others and not everybodys:
            wrong.append(f"after `{command}` somebody else is told {others_then}, before {others}")
        undone = stage.host.run("sh", "-c", first["fix"][0]["undo"], check=False)
        if undone.returncode != 0 or stage.rules() != rules:
            wrong.append(f"`{first['fix'][0]['undo']}` (exit {undone.returncode} {undone.stderr.strip()}) does not take it back: {stage.rules()}")
    if case.cure and not first["fix"]:
        wrong.append(f"no command is offered: {first.get('decide')}")
    if not case.cure and not (first["fix"] or first.get("decide")):
        wrong.append("nothing says what is to be decided")
    for each in stage.held:
        each.close()
    rows.append((case.name, told, first["id"], f"{first['certainty']:.2f}", cured, "ok" if not wrong else "WRONG: " + "; ".join(wrong)))
    return not wrong


def check_sound(stage, case, rows):
    set_up(stage, case)
    told = attempt(stage, case)
    wrong = [] if told == case.told else [f"the client was told {told}"]
    client = CLIENT6 if ":" in case.address else CLIENT
    asked = [arguments_of(case), ()] + ([("--source", client), ("--dport", case.port)] if case.way == "in" else [])
    for arguments in asked:
        accused = [finding["id"] + ": " + finding["title"] for finding in relevant(stage.diagnose(*arguments))]
        if accused:
            wrong.append(f"{arguments}: {accused}")
    rows.append((case.name, told, "-", "", "", "ok" if not wrong else "WRONG: " + "; ".join(map(str, wrong))))
    return not wrong


def test_staged_faults():
    rows, wrong = [("fault", "client is told", "first finding", "certainty", "after its first command", "")], 0
    with Stage() as stage:
        for case in FAULTS:
            wrong += not check_fault(stage, case, rows)
    print_table(rows)
    assert wrong == 0, f"{wrong} of {len(FAULTS)} faults not named"
    print(f"  {len(FAULTS)} faults named")


def test_staged_faults_that_nobody_asks_about():
    rows, wrong = [("fault", "client is told", "first finding", "certainty", "after its first command", "")], 0
    with Stage() as stage:
        for case in UNASKED:
            wrong += not check_fault(stage, case, rows)
    print_table(rows)
    assert wrong == 0, f"{wrong} of {len(UNASKED)} faults not named"
    print(f"  {len(UNASKED)} faults named")


def test_sound_firewalls_accuse_nobody():
    rows, wrong = [("firewall", "client is told", "", "", "", "")], 0
    with Stage() as stage:
        for case in SOUND:
            wrong += not check_sound(stage, case, rows)
    print_table(rows)
    assert wrong == 0, f"{wrong} of {len(SOUND)} sound firewalls accused somebody"


def test_ten_thousand_rules():
    with Stage() as stage:
        stage.clear()
        sources = "".join(f"-A INPUT -s 10.{i >> 8 & 255}.{i & 255}.9/32 -p tcp -m tcp --dport {1 + i % 60000} -j DROP\n" for i in range(10_000))
        stage.host.run("iptables-nft-restore", input=iptables(sources + "-A INPUT -p tcp -m tcp --dport 80 -j REJECT"))
        start = time.monotonic()
        report = stage.diagnose("--source", CLIENT, "--dport", 80)
        claim("10,000 rules read and evaluated, the whole command", time.monotonic() - start, 2)
        assert report["findings"][0]["id"] == "reject-rule" and "line 10001" in report["findings"][0]["evidence"][0], report["findings"][:1]


main()
