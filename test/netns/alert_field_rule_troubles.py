"""Troubles of the field: rules that drop or reject the wrong ones, or far more than before."""

import random

from alert_field_traffic import HOST, HOST6, client, client6, member, server, stranger
from alert_field_trouble import Told, switched, trouble, visits

# A host whose firewall keeps a few out.
OPEN = """
table inet filter {
  set banned { type ipv4_addr; }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname { "lo", "mgmt" } accept
    ct state established,related accept
    ip saddr @banned counter drop
    udp dport 7777 counter drop
    udp dport 7778 drop
  }
  chain output {
    type filter hook output priority 0; policy accept;
    oifname { "lo", "mgmt" } accept
    ct state established,related accept
  }
}
"""
GATEWAY_RULES = """
flush ruleset
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    udp dport 53 accept
    %s
  }
}
table ip nat { chain postrouting { type nat hook postrouting priority 100; ip saddr 10.0.0.0/8 masquerade; }; }
"""
BLACKLISTED = [stranger(i) for i in range(5)]
SOME = ("20.0.1.",)  # regulars by the hundred: some of them must be named
LEGACY = ("-p", "tcp", "--dport", "443", "-j", "DROP")


async def _serve(net, people=300, rate=30, ipv6=False):
    """A web server with regulars, who come in turn."""
    await net.nft(OPEN)
    net.serve_tcp("host", 443, "::" if ipv6 else "0.0.0.0")
    net.spawn(visits(net, [(client6 if ipv6 else client)(i) for i in range(people)], rate, to=HOST6 if ipv6 else HOST))


async def _insert(net, rule, chain="input"):
    """The rule as the first of its chain; what deletes it again."""
    told = (await net.run("nft", "-e", "-a", "insert", "rule", "inet", "filter", chain, rule)).stdout
    return ("nft", "delete", "rule", "inet", "filter", chain, "handle", told.split("# handle ")[1].split()[0])


@trouble(Told("RegularSourcesDropped", rule="tcp dport 443 counter drop", mentions=SOME), also=("DropRuleSpike",))
async def a_wrong_rule_drops_three_hundred_clients(net):
    await _serve(net)
    yield
    delete = await _insert(net, "tcp dport 443 counter drop")
    yield
    await net.run(*delete)


@trouble(Told("RegularSourcesDropped", rule="tcp dport 443 drop", mentions=SOME), also=("DropRuleSpike",), restarted=True)
async def a_wrong_rule_without_a_counter_drops_three_hundred_clients(net):
    await _serve(net, rate=20)
    yield
    delete = await _insert(net, "tcp dport 443 drop")
    yield
    await net.run(*delete)


@trouble(Told("RegularSourcesDropped", rule="tcp dport 443 drop", mentions=("2001:db8:20::",)), also=("DropRuleSpike",))
async def a_wrong_rule_drops_clients_by_ipv6(net):
    await _serve(net, people=100, rate=10, ipv6=True)
    yield
    delete = await _insert(net, "tcp dport 443 drop")
    yield
    await net.run(*delete)


@trouble(Told("RegularSourcesDropped", rule="--dport 443 -j DROP", mentions=SOME), also=("DropRuleSpike",))
async def a_wrong_legacy_rule_drops_clients(net):
    await _serve(net, people=100, rate=10)
    await net.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "25", "-j", "DROP")
    yield
    await net.run("iptables-legacy", "-I", "INPUT", *LEGACY)
    yield
    await net.run("iptables-legacy", "-D", "INPUT", *LEGACY)


@trouble(Told("RegularSourcesDropped", rule="reject with tcp reset", mentions=SOME), also=("DropRuleSpike",))
async def regulars_are_rejected(net):
    await _serve(net, people=100, rate=10)
    yield
    delete = await _insert(net, "tcp dport 443 counter reject with tcp reset")
    yield
    await net.run(*delete)


@trouble(Told("RegularSourcesDropped", rule="drop", anyone=tuple(client(i) for i in range(8))), also=("DropRuleSpike",), restarted=True)
async def eight_of_forty_customers_are_banned_by_mistake(net):
    await _serve(net, people=40, rate=10)
    yield
    delete = await _insert(net, f"ip saddr {{ {', '.join(client(i) for i in range(8))} }} drop")
    yield
    await net.run(*delete)


@trouble(Told("RegularSourcesDropped", rule="ip saddr @banned counter drop", anyone=tuple(client(i) for i in range(20))), also=("DropRuleSpike",))
async def a_ban_list_grows_until_it_has_regulars(net):
    await _serve(net, people=60, rate=15)
    await net.nft(f"add element inet filter banned {{ {', '.join(BLACKLISTED)} }}")
    net.spawn(visits(net, BLACKLISTED, 2))
    yield
    await net.nft(f"add element inet filter banned {{ {', '.join(client(i) for i in range(20))} }}")
    yield
    await net.nft(f"delete element inet filter banned {{ {', '.join(client(i) for i in range(20))} }}")


@trouble(Told("RegularSourcesDropped", mentions=("10.0.1.",)), also=("DropRuleSpike", "ConnectionsUnanswered"), gateway=True)
async def a_reload_of_a_gateway_loses_an_accept_rule(net):
    accept = 'iifname "lan" tcp dport 443 accept'
    await net.nft(GATEWAY_RULES % accept)
    net.serve_tcp("outside", 443)
    net.spawn(visits(net, [member(i) for i in range(200)], 20, to=[server(i) for i in range(20)], where="inside"))
    yield
    await net.nft(GATEWAY_RULES % "")
    yield
    await net.nft(GATEWAY_RULES % accept)


# In the long form: a destination is regular once it has answered in three minutes.
@trouble(Told("RegularSourcesDropped", rule="tcp dport 5432 drop", mentions=(HOST, server(0))), also=("DropRuleSpike", "ConnectionsUnanswered"), long=True)
async def an_output_rule_cuts_a_host_off_its_database(net):
    await net.nft(OPEN)
    net.serve_tcp("outside", 5432)
    net.serve_tcp("host", 443)
    net.spawn(net.pace(15, lambda: net.tcp("host", HOST, server(0), 5432)))
    net.spawn(visits(net, [client(i) for i in range(50)], 10))
    yield
    delete = await _insert(net, "tcp dport 5432 drop", chain="output")
    yield
    await net.run(*delete)


async def _knock(net, port):
    """A thousand strangers, 0.3 packets a second each, at a port that an old rule keeps shut; before there were a few."""
    await _serve(net, people=50, rate=5)
    raw = net.raw()
    knock = lambda: raw.udp(stranger(random.randrange(1000)), random.randrange(1024, 65_536), HOST, port)
    net.spawn(net.pace(0.2, knock))
    on = switched(net, 300, knock)
    yield
    on.append(True)
    yield
    on.clear()


@trouble(Told("DropRuleSpike", rule="udp dport 7777 counter drop"))
async def an_old_rule_is_hit_by_a_thousand_sources(net):
    async for _ in _knock(net, 7777):
        yield


@trouble(Told("DropRuleSpike", rule="udp dport 7778 drop"))
async def an_old_rule_without_a_counter_is_hit_by_a_thousand_sources(net):
    async for _ in _knock(net, 7778):
        yield


@trouble(Told("SourceMatchesDropRule", source=stranger(1), rule="udp dport 7777 counter drop"), also=("DropRuleSpike",), within=210, long=True)
async def one_source_floods_a_drop_rule_for_minutes(net):
    await _serve(net, people=50, rate=5)
    raw = net.raw()
    on = switched(net, 150, lambda: raw.udp(stranger(1), 4000, HOST, 7777))
    yield
    on.append(True)
    yield
    on.clear()


@trouble(Told("RegularSourcesDropped", rule="meta length > 1000 drop"), also=("DropRuleSpike", "SourceMatchesDropRule"), gateway=True, long=True)
async def big_packets_of_the_established_are_dropped(net):
    """Handshakes succeed. By a condition that the daemon does not decode, and without a counter."""
    await net.nft(GATEWAY_RULES % "tcp dport 443 accept")
    net.serve_tcp("outside", 443, answer=b"x" * 1300)
    net.spawn(visits(net, [member(i) for i in range(40)], 8, to=[server(i) for i in range(20)], where="inside", patience=6))
    yield
    delete = await _insert(net, "ct state established meta length > 1000 drop", chain="forward")
    yield
    await net.run(*delete)
