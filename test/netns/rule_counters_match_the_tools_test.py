#!/usr/bin/env python3
"""Every rule's counter is what its own tool shows, and its text, too."""

from firewall import *
from harness import *

NATIVE = """
table inet native {
    counter named { comment "of one rule" ; }
    set blocked {
        type ipv4_addr
        flags interval
        elements = { 192.0.2.0/24, 127.0.0.9 }
    }
    map fate {
        type inet_service : verdict
        elements = { 9001 : drop, 9002 : accept }
    }
    chain dropped {
        counter drop
    }
    chain input {
        type filter hook input priority -10
        udp dport 7001 counter drop
        udp dport 7002 counter reject
        udp dport 7003 counter name named drop
        udp dport vmap @fate
        udp dport vmap { 9003 : drop, 9004 : drop }
        udp dport { 7004-7005, 7007 } counter drop comment "a set"
        udp dport 7008 jump dropped
        udp dport 7009 drop
        ip saddr @blocked counter drop
        ip6 daddr ::1 udp dport 7010 counter reject
        udp dport 7011 counter accept
        udp dport 7011 counter accept
    }
}
table inet closed {
    chain input {
        type filter hook input priority 10; policy drop;
        tcp sport 9105 accept
        tcp dport 9105 accept
        counter log prefix "left over "
    }
}
"""


def test_native_rules():
    with Namespace() as namespace:
        namespace.nft(NATIVE)
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            for index, port in enumerate([*range(7001, 7013), *range(9001, 9005)]):
                send_udp(namespace, port, index + 1)
            send_udp(namespace, 7010, 5, "::1")
            tool = {("native", handle): rule for handle, rule in nft_counters(namespace, "inet", "native").items()}
            tool |= {("closed", handle): rule for handle, rule in nft_counters(namespace, "inet", "closed").items()}

            def ours():
                return {(rule["table"], rule["handle"]): (rule["rule"], counter_of(rule)) for rule in rules_of(daemon, backend="nftables")}

            wait_until(lambda: ours() == tool, 5, "the counters of nft list")
            verdicts = {rule["rule"]: rule["verdict"] for rule in rules_of(daemon)}
            assert verdicts["udp dport 7001 counter drop"] == "drop"
            assert verdicts["udp dport 7002 counter reject"] == "reject"
            assert verdicts['udp dport 7003 counter name "named" drop'] == "drop"
            assert verdicts["udp dport vmap { 9003 : drop, 9004 : drop }"] == "drop", "a verdict map that only drops"
            assert verdicts["udp dport vmap @fate"] == "vmap"
            assert verdicts["udp dport 7008 jump dropped"] == "drop", "a jump into a chain that only drops"
            assert verdicts['counter log prefix "left over "'] == "log"
            uncounted = [rule for rule in rules_of(daemon) if rule["rule"] == "udp dport 7009 drop"]
            assert uncounted[0]["counter"] is None and uncounted[0]["verdict"] == "drop", uncounted

            metrics = daemon.metrics()
            check_invariants(metrics)
            assert metrics.value("conntally_rules", backend="nftables", family="inet", table="native") == 13
            assert metrics.value("conntally_rules_uncounted", backend="nftables", family="inet", table="native") == 4
            counted = [counter for _, counter in tool.values() if counter]
            assert len(metrics.series("conntally_rule_packets_total")) == len(counted)
            assert metrics.sum("conntally_rule_packets_total") == sum(packets for packets, _ in counted)
            assert metrics.sum("conntally_rule_bytes_total") == sum(size for _, size in counted)
            handle = next(handle for handle, (text, _) in nft_counters(namespace, "inet", "native").items() if "a set" in text)
            metrics.value("conntally_rule_packets_total", backend="nftables", family="inet", table="native", chain="input",
                          rule='udp dport { 7004-7005, 7007 } counter drop comment "a set"', handle=str(handle),
                          verdict="drop", comment="a set")


def check_byte_rates(tool, backend):
    with Namespace() as namespace:
        for rate, burst in (("512kb/s", "1mb"), ("96b/s", "288b")):
            namespace.run(tool, "-A", "INPUT", "-p", "udp", "-m", "hashlimit", "--hashlimit-above", rate, "--hashlimit-burst", burst,
                          "--hashlimit-mode", "srcip", "--hashlimit-name", f"{tool[-6:]}{rate[:3]}", "-j", "DROP")
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            wait_until(lambda: len(rules_of(daemon, backend=backend)) == 2, 5, "the rules are read")
            limits = [limit for rule in rules_of(daemon, backend=backend) for limit in rule["limits"]]
            found = [(limit["rate_per_second"], limit["burst"], limit["of"]) for limit in limits]
            assert found == [(524288, 1048576, "bytes"), (96, 288, "bytes")], found


def test_rates_of_bytes():
    check_byte_rates("iptables-legacy", "iptables-legacy")
    check_byte_rates("iptables-nft", "nftables")


RULES = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
-A INPUT -p udp -m udp --dport 7101 -j DROP
-A INPUT -p udp -m udp --dport 7102 -j REJECT
-A INPUT -p udp -m udp --dport 7103 -m comment --comment "what for" -j DROP
-A INPUT -p udp -m multiport --dports 7104,7105 -j mine
-A INPUT -p udp -m udp --dport 7106 -j DROP
-A INPUT -p udp -m udp --dport 7106 -j DROP
-A INPUT -p tcp -m connlimit --connlimit-above 10 -j DROP
-A INPUT -p udp -m hashlimit --hashlimit-above 100/sec --hashlimit-mode srcip --hashlimit-name CONNTALLY -j LOG
-A mine -p udp -m udp --dport 7105 -j LOG --log-prefix "mine "
-A mine -j DROP
COMMIT
"""


def check_iptables(tool, backend, address):
    with Namespace() as namespace:
        namespace.run(f"{tool}-restore", input=RULES.replace("CONNTALLY", tool[:15]))
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            for index, port in enumerate(range(7101, 7108)):
                send_udp(namespace, port, index + 1, address)

            def ours():
                counters = {}
                for rule in rules_of(daemon, backend=backend):
                    counters.setdefault((rule["table"], rule["chain"], rule["rule"]), []).append(counter_of(rule))
                return counters

            wait_until(lambda: ours() == saved_counters(namespace, f"{tool}-save")[0], 5, lambda: f"the counters of {tool}-save -c:\n"
                       f"{saved_counters(namespace, f'{tool}-save')[0]}\nours {ours()}")
            assert len(ours()) == 9, ours()
            verdicts = {rule["rule"].split("--dport ")[-1].split(" ")[0]: rule["verdict"] for rule in rules_of(daemon, chain="INPUT")}
            assert verdicts["7101"] == "drop" and verdicts["7102"] == "reject", verdicts
            assert [rule["comment"] for rule in rules_of(daemon) if "7103" in rule["rule"]] == ["what for"]
            jump = next(rule for rule in rules_of(daemon) if "-j mine" in rule["rule"])
            assert jump["verdict"] == "drop" and jump["jump_target"] == "mine", jump
            limits = [limit for rule in rules_of(daemon) for limit in rule["limits"]]
            assert [(limit["origin"], limit.get("connections"), limit["per"]) for limit in limits] == [
                ("connlimit", 10, "source"), ("hashlimit", None, "source")], limits
            assert limits[1]["rate_per_second"] == 100, limits

            metrics = daemon.metrics()
            check_invariants(metrics)
            twice = metrics.series("conntally_rule_packets_total", rule="-p udp -m udp --dport 7106 -j DROP")
            assert sorted(twice.values()) == [0, 6], twice
            return metrics, saved_counters(namespace, f"{tool}-save")[1]


def check_policies(metrics, backend, family, policies):
    for (table, chain), packets in policies.items():
        policy = "drop" if chain == "FORWARD" else "accept"
        ours = metrics.value("conntally_chain_policy_packets_total", backend=backend, family=family, table=table, chain=chain, policy=policy)
        # The scrape itself is packets that go to the policies.
        assert ours <= packets and (ours > 0) == (packets > 0), (chain, ours, packets)


def test_iptables_over_nftables():
    check_iptables("iptables-nft", "nftables", "127.0.0.1")
    check_iptables("ip6tables-nft", "nftables", "::1")


def test_iptables_legacy():
    metrics, policies = check_iptables("iptables-legacy", "iptables-legacy", "127.0.0.1")
    check_policies(metrics, "iptables-legacy", "ip", policies)


def test_ip6tables_legacy():
    metrics, policies = check_iptables("ip6tables-legacy", "ip6tables-legacy", "::1")
    check_policies(metrics, "ip6tables-legacy", "ip6", policies)


def test_sets():
    if not shutil.which("ipset"):
        raise Skip("needs the command ipset")
    with Namespace() as namespace:
        namespace.run("ipset", "create", "bad", "hash:net", "counters")
        namespace.run("ipset", "add", "bad", "127.0.0.0/8")
        namespace.run("ipset", "add", "bad", "192.0.2.7")
        namespace.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "-m", "set", "--match-set", "bad", "src", "-j", "DROP")
        namespace.nft("table inet t {\nset seen {\ntype ipv4_addr\nsize 100\nflags dynamic\ncounter\n}\n"
                      "chain input {\ntype filter hook input priority -10\nip protocol udp update @seen { ip saddr counter }\n}\n}\n")
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            send_udp(namespace, 7301, 6)

            def sets():
                return {row["set"]: row for row in daemon.get("/api/v1/rules").json()["sets"]}

            wait_until(lambda: sets().get("bad", {}).get("counter") == {"packets": 6, "bytes": 6 * 29}, 5, lambda: f"the ipset's counter: {sets()}")
            wait_until(lambda: (sets()["seen"]["counter"] or {}).get("packets") == 6, 5, lambda: f"the dynamic set's counter: {sets()}")
            assert sets()["bad"]["elements"] == 2 and sets()["bad"]["complete"], sets()
            rule = rules_of(daemon, backend="iptables-legacy")[0]
            assert rule["rule"] == "-p udp -m set --match-set bad src -j DROP" and rule["fully_understood"], rule


def test_without_more_than_net_admin():
    """The tools cannot help here with what wants a raw socket."""
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs", "--inh-caps", "-all,+net_admin",
              "--ambient-caps", "-all,+net_admin", "--bounding-set", "-all,+net_admin"]
    with Namespace() as namespace:
        namespace.nft(NATIVE)
        namespace.run("iptables-nft", "-A", "INPUT", "-p", "udp", "-m", "udp", "--dport", "7401", "-j", "DROP")
        namespace.run("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT")
        daemon = Daemon(namespace, QUICK, prefix=nobody)
        binary = pathlib.Path(daemon.folder.name, "conntally")
        shutil.copy(BINARY, binary)
        daemon.command[len(nobody)] = binary
        with daemon:
            daemon.wait_ready()
            send_udp(namespace, 7001, 3)
            send_udp(namespace, 7401, 2)
            wait_until(lambda: [counter_of(rule)[0] for rule in rules_of(daemon, rule="udp dport 7001 counter drop")] == [3], 5, "a native rule")
            wait_until(lambda: [counter_of(rule)[0] for rule in rules_of(daemon, rule="-p udp -m udp --dport 7401 -j DROP")] == [2], 5, "an iptables-nft rule")
            metrics = daemon.metrics()
            assert metrics.value("conntally_collector_success", collector="nftables") == 1
            # Off, which is no failure.
            assert not metrics.series("conntally_collector_success", collector="iptables-legacy")
            assert "CAP_DAC_READ_SEARCH" in daemon.get("/api/v1/rules").json()["backends"]["iptables-legacy"]["failure"]


def test_a_comment_with_newlines_and_quotes_cuts_no_text():
    comments = ["a\n-A INPUT b", 'end "quoted" \\', "tab\t\x01", "x" * 255, "*nat\n# handle 5\n}"]
    saved = ['"a\n-A INPUT b"', '"end \\"quoted\\" \\\\"', '"tab\t\x01"', "x" * 255, '"*nat\n# handle 5\n}"']
    native = ["a\n} # handle 5\ntype filter hook x", "#{};'\\", "x" * 127]
    with Namespace() as namespace:
        for tool in ("iptables-nft", "iptables-legacy", "ip6tables-legacy"):
            for port, comment in enumerate(comments, 1):
                namespace.run(tool, "-A", "INPUT", "-p", "udp", "--dport", port, "-m", "comment", "--comment", comment, "-j", "DROP")
        namespace.nft("table inet t {\nchain c {\n" + "".join(f'counter drop comment "{comment}"\n' for comment in native) + "}\n}\n")
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            wait_until(lambda: len(rules_of(daemon)) == 3 * len(comments) + len(native), 5, "the rules")
            for backend, family in (("nftables", "ip"), ("iptables-legacy", "ip"), ("ip6tables-legacy", "ip6")):
                rules = rules_of(daemon, backend=backend, family=family)
                texts = [f"-p udp -m udp --dport {port} -m comment --comment {text} -j DROP" for port, text in enumerate(saved, 1)]
                assert [rule["rule"] for rule in rules] == texts, [rule["rule"] for rule in rules]
                assert [rule["comment"] for rule in rules] == comments, [rule["comment"] for rule in rules]
                assert {rule["verdict"] for rule in rules} == {"drop"}
            rules = rules_of(daemon, backend="nftables", family="inet")
            assert [rule["rule"] for rule in rules] == [f'counter drop comment "{comment}"' for comment in native], rules


def test_a_policy_that_drops():
    with Namespace() as namespace:
        namespace.run("iptables-legacy-restore", input="*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
                      "-A INPUT -p tcp -j ACCEPT\nCOMMIT\n")
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            send_udp(namespace, 7201, 7)
            wait_until(lambda: daemon.metrics().value("conntally_chain_policy_packets_total", backend="iptables-legacy", family="ip",
                                                      table="filter", chain="INPUT", policy="drop") == 7, 5, "the policy's seven packets")


main()
