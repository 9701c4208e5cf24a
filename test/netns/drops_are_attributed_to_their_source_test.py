#!/usr/bin/env python3
"""Every packet that netfilter drops is counted once, for who sent it, by each way there is to see it."""

import contextlib
import socket

from dropped_traffic import HOST, client_and_host, dropped, send
from firewall import wait_for_polls
from harness import *

NO_EBPF = "drops: {ebpf: off, kernel_log: false, nflog_groups: [5]}\n"


def wait_for(daemon, expected, seconds=10, rules={}):
    def equal():
        return unless_certain(dropped(daemon), rules) == expected

    try:
        wait_until(equal, seconds, "the drops")
    except AssertionError as error:
        found = dropped(daemon)
        raise AssertionError(f"only here: {expected.items() - found.items()}, only found: {found.items() - expected.items()}") from error


def unless_certain(found, rules):
    """As if no rule were named, where it is the right one of the source."""
    return {(source, None if rule == rules.get(source) else rule, via): packets for (source, rule, via), packets in found.items()}


def test_each_form_of_drop_and_reject_is_exact_by_ebpf():
    with client_and_host() as (client, host), Daemon(host) as daemon:
        host.nft("""
            table inet native {
              chain early { type filter hook prerouting priority -300; udp dport 7108 drop; }
              chain input {
                type filter hook input priority 0; policy accept;
                udp dport 7101 drop
                udp dport 7102 reject
                udp dport vmap { 7105 : drop }
              }
              chain closed { type filter hook forward priority 0; policy drop; }
              chain output { type filter hook output priority 0; udp dport 7107 drop; }
            }
        """)
        host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "7103", "-j", "DROP")
        host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "7104", "-j", "REJECT")
        host.run("ip6tables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "7106", "-j", "DROP")
        client.nft("table inet other { chain output { type filter hook output priority 0; udp dport 7109 drop; }; }\n")
        host.sysctl("net.ipv4.ip_forward", 1)
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        # Whether one of them is named depends on when the rules were first read; another never may be. A policy is no rule.
        rules = {f"{address}{number}": text for number, text in ((1, "udp dport 7101 drop"), (2, "udp dport 7102 reject"),
                                                                (5, "udp dport vmap { 7105 : drop }"), (8, "udp dport 7108 drop"))
                 for address in ("10.0.1.", "2001:db8::")}
        rules |= {HOST: "udp dport 7107 drop",
                  "10.0.1.3": "-p udp -m udp --dport 7103 -j DROP",
                  "10.0.1.4": "-p udp -m udp --dport 7104 -j REJECT --reject-with icmp-port-unreachable",
                  "2001:db8::6": "-p udp -m udp --dport 7106 -j DROP"}
        expected = {}
        for packets, port in enumerate((7101, 7102, 7103, 7104, 7105, 7108), start=20):
            send(client, f"10.0.1.{port - 7100}", packets, port)
            expected[f"10.0.1.{port - 7100}", None, "ebpf"] = packets
        for packets, port in enumerate((7101, 7102, 7105, 7106), start=40):
            send(client, f"2001:db8::{port - 7100}", packets, port)
            expected[f"2001:db8::{port - 7100}", None, "ebpf"] = packets
        # To be forwarded: the policy drops it.
        host.ip("route", "add", "198.51.100.0/24", "dev", "to-client")
        client.ip("route", "add", "198.51.100.0/24", "via", HOST)
        send(client, "10.0.2.2", 8, 9000, "198.51.100.9")
        expected["10.0.2.2", None, "ebpf"] = 8
        send(host, HOST, 9, 7107, "192.0.2.2")  # its own, on the way out
        expected[HOST, None, "ebpf"] = 9
        send(client, "10.0.3.1", 10, 7109)  # dropped in the other namespace, which is not watched
        send(client, "10.0.3.2", 10, 7110)  # not dropped at all
        wait_for(daemon, expected, rules=rules)
        metrics = daemon.metrics()
        assert metrics.value("conntally_dropped_packets_total", via="ebpf") == sum(expected.values())
        for (source, _, via), packets in expected.items():
            assert metrics.sum("conntally_source_dropped_packets_total", source=source, via=via) == packets
        assert metrics.value("conntally_collector_success", collector="ebpf") == 1
        assert metrics.sum("conntally_overflow_total") == 0
        check_invariants(metrics)


def test_the_rule_that_dropped_is_named_when_it_alone_can_have_been():
    config = "rules: {poll_interval: 1s}\ndrops: {kernel_log: false}\n"
    with client_and_host() as (client, host), Daemon(host, config) as daemon:
        host.nft("""
            table inet native { chain input {
              type filter hook input priority 0; policy accept;
              ct state established accept
              ip saddr 10.9.0.0/16 udp dport 7101 counter drop
              udp dport 7102 counter reject
              udp dport 7105 drop
            }; }
        """)
        host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "7103", "-j", "DROP")
        host.run("iptables-legacy", "-A", "INPUT", "-i", "to-client", "-p", "udp", "--dport", "7104", "-j", "REJECT")
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        wait_for_polls(daemon)
        rules = {dict(labels)["rule"] for labels in daemon.metrics().series("conntally_rule_packets_total")}
        expected = {}
        for packets, port in enumerate((7101, 7102, 7103, 7104), start=30):
            send(client, "10.9.0.1", packets, port)
            (rule,) = [rule for rule in rules if str(port) in rule]
            expected["10.9.0.1", rule, "ebpf"] = packets
        send(client, "10.9.0.2", 25, 7105)  # which counts nothing, but nothing else can have dropped it
        expected["10.9.0.2", "udp dport 7105 drop", "ebpf"] = 25
        send(client, "10.8.0.1", 20, 7101)  # let through
        wait_for(daemon, expected, 20)
        labels = {"source": "10.9.0.1", "via": "ebpf", "rule": next(rule for rule in rules if "7101" in rule)}
        assert daemon.metrics().value("conntally_source_dropped_packets_total", **labels) == 30


def test_rules_that_count_nothing_are_named_in_an_ordinary_firewall():
    config = "rules: {poll_interval: 1s}\ndrops: {kernel_log: false}\n"
    with client_and_host() as (client, host), Daemon(host, config) as daemon:
        host.ip("route", "add", "198.51.100.0/24", "dev", "to-client")
        client.ip("route", "add", "198.51.100.0/24", "via", HOST)
        host.sysctl("net.ipv4.ip_forward", 1)
        host.nft("""
            table inet filter {
              set banned { type ipv4_addr; }
              chain input {
                type filter hook input priority 0; policy drop;
                iif lo accept
                ct state established,related accept
                ct state invalid drop
                ip saddr @banned reject
                meta l4proto ipv6-icmp accept
                udp dport 7101 drop
                udp dport 7102 accept
              }
              chain forward {
                type filter hook forward priority 0;
                ct state invalid drop
                ip daddr 198.51.100.9 udp dport 9000 reject
              }
            }
        """)
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        host.run("nft", "add", "element", "inet", "filter", "banned", "{ 10.9.0.1 }")
        wait_for_polls(daemon)
        for source, packets, port, to in (("10.9.0.1", 20, 7102, HOST), ("10.9.0.2", 21, 7101, HOST), ("10.9.0.3", 22, 7103, HOST),
                                          ("10.9.0.4", 23, 7102, HOST), ("10.9.0.5", 24, 9000, "198.51.100.9")):
            send(client, source, packets, port, to)
        wait_for(daemon, {
            ("10.9.0.1", "ip saddr @banned reject with icmp port-unreachable", "ebpf"): 20,
            ("10.9.0.2", "udp dport 7101 drop", "ebpf"): 21,
            ("10.9.0.3", None, "ebpf"): 22,  # the policy
            ("10.9.0.5", "ip daddr 198.51.100.9 udp dport 9000 reject with icmp port-unreachable", "ebpf"): 24,
        }, 20)


def named_drops(load, sends):
    """`sends`: {source: (port, the rule that drops it)}, in the order of the rules that `load` loads."""
    with client_and_host() as (client, host):
        load(host)
        with Daemon(host, "rules: {poll_interval: 1s}\ndrops: {kernel_log: false}\n") as daemon:
            daemon.wait_ready()
            daemon.wait_for_log("eBPF counts")
            wait_for_polls(daemon)
            expected = {}
            for packets, (source, (port, rule)) in enumerate(sends.items(), start=20):
                send(client, source, packets, port)
                expected[source, rule, "ebpf"] = packets
            wait_for(daemon, expected, 20)


def test_the_rule_is_named_where_sets_and_verdict_maps_decide():
    def load(host):
        host.nft("""
            table inet t {
              set timed { type ipv4_addr; flags timeout; elements = { 10.3.0.1 timeout 1h }; }
              set filled { type ipv4_addr; }
              set ports { type inet_service; elements = { 7102, 7103 }; }
              map fate { type ipv4_addr : verdict; flags interval; elements = { 10.5.0.0/24 : drop, 10.5.1.0/24 : jump inner }; }
              map pairs { type inet_proto . inet_service : verdict; elements = { tcp . 7104 : drop, udp . 7104 : drop }; }
              chain inner { counter drop comment "inner"; }
              chain first { goto second; }
              chain second { udp dport 7105 counter drop; }
              chain input {
                type filter hook input priority 0
                ip saddr @timed counter drop
                ip saddr vmap @fate
                counter ip saddr { 10.6.0.0/24 } drop
                udp dport @ports counter drop
                counter meta l4proto . th dport vmap @pairs
                jump first
                udp dport 7106 counter drop comment "after a goto"
              }
              chain later {
                type filter hook input priority 10; policy drop;
                iif lo accept
              }
            }
        """)
        # Rules that were added later may fill a set that is not declared to be filled.
        for rule in ("udp dport 7107 add @filled { ip saddr }", "ip saddr @filled counter drop"):
            host.run("nft", "add", "rule", "inet", "t", "input", *rule.split())

    named_drops(load, {
        "10.3.0.1": (7200, "ip saddr @timed counter drop"),
        "10.5.0.1": (7200, "ip saddr vmap @fate"),
        "10.5.1.1": (7200, 'counter drop comment "inner"'),
        "10.6.0.1": (7200, "counter ip saddr 10.6.0.0/24 drop"),
        "10.0.0.1": (7103, "udp dport @ports counter drop"),
        "10.0.0.2": (7104, "counter meta l4proto . th dport vmap @pairs"),
        "10.0.0.3": (7105, "udp dport 7105 counter drop"),
        "10.0.0.4": (7106, 'udp dport 7106 counter drop comment "after a goto"'),
        "10.0.0.5": (7107, None),  # not in the set before
    })


def check_ipsets(tool):
    def load(host):
        host.run("ipset", "create", "nets", "hash:net")
        host.run("ipset", "add", "nets", "10.7.0.0/16")
        host.run("ipset", "add", "nets", "10.7.9.0/24", "nomatch")
        host.run("ipset", "create", "addresses", "hash:ip")
        host.run("ipset", "add", "addresses", "10.8.0.1")
        host.run(f"{tool}-restore", input="*filter\n-A INPUT -m set --match-set nets src -j DROP\n"
                 "-A INPUT -m set --match-set addresses src -j REJECT\nCOMMIT\n")

    named_drops(load, {"10.7.1.1": (7200, "-m set --match-set nets src -j DROP")})
    named_drops(load, {"10.8.0.1": (7200, "-m set --match-set addresses src -j REJECT --reject-with icmp-port-unreachable")})


def test_the_rule_is_named_where_an_ipset_decides():
    if not shutil.which("ipset"):
        raise Skip("needs the command ipset")
    check_ipsets("iptables-legacy")
    check_ipsets("iptables-nft")


def test_300_000_drops_of_10_000_sources_are_exact():
    with client_and_host() as (client, host), Daemon(host) as daemon:
        host.nft("table inet t { chain input { type filter hook input priority 0; iifname lo accept; meta l4proto udp drop; }; }\n")
        daemon.wait_for_log("eBPF counts")
        daemon.wait_ready()
        before = daemon.peak_memory_kib()
        with scraped_all_along(daemon):
            sent = ct_load(client, "udp", "--count", 10_000, "--sources", 10_000, "--packets-each", 30, "--destination", HOST)
            print(f"  {sent['rate']} packets a second")
            wait_until(lambda: daemon.metrics().sum("conntally_dropped_packets_total") == 300_000, 10, "all are counted")
        found = dropped(daemon)
        assert len(found) == 10_000 and set(found.values()) == {30}, f"{len(found)} sources, {set(found.values())} packets"
        print(f"  memory grew by {daemon.peak_memory_kib() - before} KiB")


def test_drops_and_tallies_are_exact_while_100_000_events_a_second_are_tallied():
    with client_and_host() as (client, host), Daemon(host) as daemon:
        host.nft("table inet t { chain input { type filter hook input priority 0; iifname lo accept; meta l4proto udp drop; }; }\n")
        daemon.wait_for_log("eBPF counts")
        daemon.wait_ready()
        events = host.spawn(CT_LOAD, "create", "--count", 200_000, "--sources", 50_000, "--rate", 100_000)
        ct_load(client, "udp", "--count", 10_000, "--sources", 10_000, "--packets-each", 30, "--rate", 150_000, "--destination", HOST)
        assert events.wait(60) == 0
        wait_until(lambda: daemon.metrics().sum("conntally_dropped_packets_total") == 300_000, 20, "all drops are counted")
        daemon.wait_equal(20)
        found = dropped(daemon)
        assert len(found) == 10_000 and set(found.values()) == {30}, f"{len(found)} sources, {set(found.values())} packets"


def test_more_sources_than_are_tracked_stay_within_the_bound():
    with client_and_host() as (client, host), Daemon(host, "drops: {tracked_max: 1000}\n") as daemon:
        host.nft("table inet t { chain input { type filter hook input priority 0; iifname lo accept; meta l4proto udp drop; }; }\n")
        daemon.wait_for_log("eBPF counts")
        daemon.wait_ready()
        for _ in range(5):
            send(client, "10.200.0.1", 2_000, 7000)
            ct_load(client, "udp", "--count", 10_000, "--sources", 10_000, "--destination", HOST)
        wait_until(lambda: daemon.metrics().sum("conntally_dropped_packets_total") == 60_000, 10, "all are counted")
        rows = [row for row in daemon.sources(sort="drops")["sources"] if row["drops"]]
        assert len(rows) <= 1_000
        heavy = rows[0]["drops"][0]
        assert rows[0]["source"] == "10.200.0.1", rows[0]
        assert heavy["packets"] <= 10_000 <= heavy["packets"] + heavy["error"], heavy
        assert daemon.metrics().value("conntally_overflow_total", what="drop_sources") > 0


def test_nflog_is_exact_with_its_prefix():
    with client_and_host() as (client, host), Daemon(host, NO_EBPF) as daemon:
        host.nft('table inet t { chain input { type filter hook input priority 0; udp dport 7101 log prefix "nft drop: " group 5 drop; }; }\n')
        host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "7102", "-j", "NFLOG", "--nflog-group", "5",
                 "--nflog-prefix", "legacy")
        host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "7102", "-j", "DROP")
        daemon.wait_for_log("NFLOG group 5")
        daemon.wait_ready()
        send(client, "10.0.0.1", 1000, 7101)
        send(client, "10.0.0.1", 300, 7102)
        send(client, "2001:db8::7", 500, 7101)
        wait_for(daemon, {("10.0.0.1", "nft drop:", "nflog"): 1000, ("10.0.0.1", "legacy", "nflog"): 300,
                          ("2001:db8::7", "nft drop:", "nflog"): 500})
        ct_load(client, "udp", "--count", 1_000, "--sources", 1_000, "--source-offset", 70_000, "--packets-each", 10, "--destination", HOST)
        assert daemon.metrics().value("conntally_overflow_total", what="nflog") == 0
        metrics = daemon.metrics()
        labels = {"source": "10.0.0.1", "via": "nflog", "rule": "legacy"}
        assert metrics.value("conntally_source_dropped_packets_total", **labels) == 300


def test_a_log_rule_before_an_accept_tells_of_no_drop():
    with client_and_host() as (client, host), Daemon(host, "rules: {poll_interval: 1s}\n" + NO_EBPF) as daemon:
        host.nft("""
            table inet t { chain input { type filter hook input priority 0;
              udp dport 7101 log prefix "dropped" group 5 drop
              udp dport 7103 log prefix "let through" group 5 accept
            }; }
        """)
        host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "7104", "-j", "NFLOG", "--nflog-group", "5",
                 "--nflog-prefix", "let through, too")
        host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "7104", "-j", "ACCEPT")
        daemon.wait_for_log("NFLOG group 5")
        daemon.wait_ready()
        wait_for_polls(daemon)
        for port in (7101, 7103, 7104):
            send(client, "10.0.0.1", 50, port)
        wait_for(daemon, {("10.0.0.1", "dropped", "nflog"): 50})


def test_a_log_rule_before_a_drop_names_what_ebpf_counts_and_counts_nothing_twice():
    with client_and_host() as (client, host), Daemon(host, "rules: {poll_interval: 1s}\ndrops: {nflog_groups: [5]}\n") as daemon:
        host.nft("""
            table inet t { chain input { type filter hook input priority 0;
              udp dport 7101 log prefix "named" group 5 drop
              udp dport 7102 drop
              udp dport 7103 log prefix "let through" group 5 accept
            }; }
        """)
        daemon.wait_for_log("NFLOG group 5")
        daemon.wait_for_log("eBPF counts")
        daemon.wait_ready()
        wait_for_polls(daemon)
        for _ in range(10):
            for port in (7101, 7102, 7103):
                send(client, "10.0.0.1", 20, port)
            time.sleep(0.05)
        wait_for(daemon, {("10.0.0.1", "named", "nflog"): 200, ("10.0.0.1", "udp dport 7102 drop", "ebpf"): 200})
        assert daemon.metrics().sum("conntally_dropped_packets_total") == 400


def wait_for_kernel_log(daemon):
    wait_until(lambda: daemon.get("/api/v1/status").json()["collectors"].get("kernel_log", {}).get("success"), 5, "the log is open")


def test_the_kernels_log_tells_who_was_dropped():
    # Only the first namespace may log, unless this is set.
    with machine_sysctls(net__netfilter__nf_log_all_netns=1), client_and_host() as (client, host):
        host.nft('table inet t { chain input { type filter hook input priority 0; udp dport 7101 log prefix "IPT_DROP: " drop; }; }\n')
        for config, named in (("drops: {ebpf: off}\n", "log"), ("{}\n", "log")):
            send(client, "10.0.0.9", 5, 7101)  # before the start: old lines, which are not counted
            with Daemon(host, config) as daemon:
                daemon.wait_ready()
                wait_for_kernel_log(daemon)
                send(client, "10.0.0.1", 60, 7101)
                send(client, "2001:db8::7", 40, 7101)
                wait_for(daemon, {("10.0.0.1", "IPT_DROP:", named): 60, ("2001:db8::7", "IPT_DROP:", named): 40})
                assert daemon.metrics().value("conntally_table_full_messages_total") == 0


def alerts_of(daemon):
    return {each["alert"] for each in daemon.get("/api/v1/alerts").json()["alerts"]}


def test_a_full_table_elsewhere_is_not_ours():
    full_lines, alert = "conntally_table_full_messages_total", "ConntrackTableFull"
    with machine_sysctls(net__netfilter__nf_conntrack_max=1000), Namespace("full") as full, Namespace("quiet") as quiet:
        for namespace in (full, quiet):
            namespace.nft("""
                table inet track {
                  chain scrapes { type filter hook output priority -300; tcp dport 9105 notrack; tcp sport 9105 notrack; }
                  chain output { type filter hook output priority 0; ct state new counter; }
                }
            """)
        with Daemon(full) as concerned, Daemon(quiet, "rules: {poll_interval: 500ms}\n") as unconcerned:
            for daemon in (concerned, unconcerned):
                daemon.wait_ready()
                wait_for_kernel_log(daemon)
            with full.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                def told(connections=5):
                    for _ in range(connections):  # the kernel writes ten lines in five seconds, whatever they tell of
                        with contextlib.suppress(PermissionError):  # there is no room
                            sender.sendto(b"x", ("127.0.0.1", next(ports)))
                    return concerned.metrics().value(full_lines) > 0

                ports = iter(range(10_000, 60_000))
                told(1000)
                wait_until(told, 15, "the line is told of by whose table it is")
            wait_until(lambda: alert in alerts_of(concerned), 10, "the alert")
            wait_for_polls(unconcerned)  # time enough for it, too
            assert unconcerned.metrics().value(full_lines) == 0
            assert alert not in alerts_of(unconcerned)


def test_the_rule_that_drops_most_is_named_whatever_dropped_before():
    def rule(port):
        return f"udp dport {port} counter drop"

    others, flood = range(7101, 7131), rule(7200)
    with client_and_host() as (client, host), Daemon(host, "rules: {poll_interval: 1s}\nalerts: {source_drop_rate: {warning: 1, for: 1s}}\n") as daemon:
        rules = "; ".join(rule(port) for port in (*others, 7200))
        host.nft(f"table inet t {{ chain input {{ type filter hook input priority 0; {rules}; }}; }}\n")
        daemon.wait_for_log("eBPF counts")
        daemon.wait_ready()
        wait_for_polls(daemon)  # the rules' counters have been read before
        for port in others:
            send(client, "10.0.0.1", 1, port)
        wait_until(lambda: sum(dropped(daemon).values()) == len(others), 15, "one packet of each rule is counted")
        before = dropped(daemon)
        assert len(before) > 4, before
        for _ in range(30):
            send(client, "10.0.0.1", 10, 7200)
            time.sleep(0.1)
        wait_until(lambda: sum(dropped(daemon).values()) == len(others) + 300, 15, "the flood is counted")
        after = dropped(daemon)
        assert after["10.0.0.1", flood, "ebpf"] >= 290, after
        assert all(after[share] >= packets for share, packets in before.items()), (before, after)
        series = {"source": "10.0.0.1", "rule": flood, "via": "ebpf"}
        assert daemon.metrics().value("conntally_source_dropped_packets_total", **series) == after["10.0.0.1", flood, "ebpf"]

        def fires():  # a daemon that has just started judges drops once their rules can be known
            send(client, "10.0.0.1", 10, 7200)
            return ("SourceMatchesDropRule", flood) in {(alert["alert"], alert["rule"]) for alert in daemon.get("/api/v1/alerts").json()["alerts"]}

        wait_until(fires, 20, "an alert names the flood's rule")


def test_nothing_is_left_behind_by_a_crash():
    def programs():
        return {each["id"] for each in json.loads(run("bpftool", "-j", "prog", "list").stdout) if each.get("name") == "on_kfree_skb"}

    if not shutil.which("bpftool"):
        raise AssertionError("needs the command bpftool")
    before = programs()  # perhaps one of an earlier daemon, which the kernel frees a little later
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_for_log("eBPF counts")
        own = programs() - before
        assert len(own) == 1, own
        daemon.kill()
        wait_until(lambda: not programs() & own, 5, "the program is gone")


main()
