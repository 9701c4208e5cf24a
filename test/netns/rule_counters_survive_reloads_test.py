#!/usr/bin/env python3
"""Whatever is done to a firewall: no counter falls, and a rule that stays keeps its series."""

import threading

from firewall import *
from harness import *

TOP = ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
KEPT = ["-p udp -m udp --dport 7301 -j DROP", "-p udp -m udp --dport 7302 -j REJECT --reject-with icmp-port-unreachable"]
NATIVE = ["udp dport 7301 counter drop", "udp dport 7302 counter reject"]


def iptables_rules(rules, counters=None):
    lines = [f"[{counters[rule][0]}:{counters[rule][1]}] -A INPUT {rule}" if counters else f"-A INPUT {rule}" for rule in rules]
    return "*filter\n" + TOP + "\n".join(lines) + "\nCOMMIT\n"


def native_rules(rules):
    return "table inet kept\ndelete table inet kept\ntable inet kept {\nchain input {\ntype filter hook input priority 0;\n" + \
        "\n".join(rules) + "\n}\n}\n"


class Series:
    """The series of the kept rules over time."""

    def __init__(self, daemon, rules):
        self.daemon, self.rules, self.before = daemon, rules, {}

    def now(self):
        return {key: value for key, value in rule_series(self.daemon.metrics()).items() if dict(key)["rule"] in self.rules}

    def check(self):
        now = self.now()
        assert set(now) >= set(self.before), f"lost: {set(self.before) - set(now)}"
        for key, value in self.before.items():
            assert now[key] >= value, f"{key} fell from {value} to {now[key]}"
        self.before = now
        return now

    def wait_sum(self, wanted):
        wait_until(lambda: sum(self.check().values()) == wanted, 5, f"{wanted} packets; there are {self.before}")


def changes(daemon, backend):
    return daemon.metrics().value("conntally_ruleset_changes_total", backend=backend)


def through_iptables_reloads(tool, backend):
    with Namespace() as namespace:
        namespace.run(f"{tool}-restore", input=iptables_rules(KEPT))
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            series = Series(daemon, KEPT)
            wait_until(lambda: len(series.now()) == 2, 5, "the rules")
            send_udp(namespace, 7301, 5)
            send_udp(namespace, 7302, 3)
            # A rejected sender may have sent one more for each refusal.
            total = sum(counter[0][0] for counter in saved_counters(namespace, f"{tool}-save")[0].values())
            series.wait_sum(total)

            def step(what, does, packets=2):
                nonlocal total
                count = changes(daemon, backend)
                does()
                wait_until(lambda: changes(daemon, backend) > count, 5, f"that {what} is seen")
                series.check()
                send_udp(namespace, 7301, packets)
                total += packets
                print(f"  {what}")
                series.wait_sum(total)

            step("restore without counters", lambda: namespace.run(f"{tool}-restore", input=iptables_rules([*KEPT, "-p udp -m udp --dport 1 -j DROP"])))
            step("insert above", lambda: namespace.run(tool, "-I", "INPUT", "-p", "udp", "--dport", "2", "-j", "DROP"))
            step("delete another", lambda: namespace.run(tool, "-D", "INPUT", "1"))
            now = {key[2]: value[0] for key, value in saved_counters(namespace, f"{tool}-save")[0].items() if key[2] in KEPT}
            step("restore with counters", lambda: namespace.run(f"{tool}-restore", "-c", input=iptables_rules(KEPT, now)))
            # Somebody zeroes them: what they show from now on is new.
            namespace.run(tool, "-Z")
            series.check()
            namespace.run(tool, "-F")
            wait_until(lambda: not series.now(), 5, "that no rule is there after a flush")
            namespace.run(f"{tool}-restore", input=iptables_rules(KEPT))
            wait_until(lambda: len(series.now()) == 2, 5, "that they are back")
            series.wait_sum(total)


def test_iptables_nft_reloads():
    through_iptables_reloads("iptables-nft", "nftables")


def test_iptables_legacy_reloads():
    through_iptables_reloads("iptables-legacy", "iptables-legacy")


def test_nft_reloads():
    with Namespace() as namespace:
        namespace.nft(native_rules(NATIVE))
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            series = Series(daemon, NATIVE)
            wait_until(lambda: len(series.now()) == 2, 5, "the rules")
            send_udp(namespace, 7301, 5)
            series.wait_sum(5)
            namespace.nft(native_rules(["udp dport 1 counter drop", *NATIVE]))
            wait_until(lambda: len(rules_of(daemon, backend="nftables")) == len(NATIVE) + 1, 5, "the rule before them")
            send_udp(namespace, 7301, 4)
            series.wait_sum(9)
            namespace.nft("insert rule inet kept input udp dport 3 counter drop")
            namespace.nft("add rule inet kept input udp dport 4 drop")
            send_udp(namespace, 7301, 1)
            series.wait_sum(10)
            namespace.nft("flush ruleset")
            wait_until(lambda: not series.now(), 5, "that no stale rule is told")
            namespace.nft(native_rules(NATIVE))
            wait_until(lambda: len(series.now()) == 2, 5, "that they are back")
            series.wait_sum(10)


def test_one_of_two_alike_is_deleted():
    with Namespace() as namespace:
        namespace.nft(native_rules([NATIVE[0], "udp dport 5 counter drop", NATIVE[0]]))
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            series = Series(daemon, NATIVE)
            wait_until(lambda: len(series.now()) == 2, 5, "the rules")
            send_udp(namespace, 7301, 5)
            series.wait_sum(5)
            first = min(rule["handle"] for rule in rules_of(daemon, rule=NATIVE[0]))
            namespace.run("nft", "delete", "rule", "inet", "kept", "input", "handle", first)
            wait_until(lambda: len(series.now()) == 1, 5, "that it is gone")
            send_udp(namespace, 7301, 2)
            wait_until(lambda: list(series.now().values()) == [2], 5, "that the other goes on with its own count")


SELDOM = "rules: {poll_interval: 2s}\n"  # so that much happens between two polls


def test_what_was_counted_since_the_last_poll_survives_reloads():
    rules = ["udp dport 7301 counter drop", "udp dport { 7302, 7303 } counter drop", "udp dport 7304 counter drop comment \"a\""]
    with Namespace() as namespace:
        namespace.nft(native_rules(rules))
        with Daemon(namespace, SELDOM) as daemon:
            daemon.wait_ready()
            series = Series(daemon, rules)
            wait_until(lambda: len(series.now()) == 3, 5, "the rules")
            for reload in (lambda: namespace.nft(native_rules(rules)),
                           lambda: namespace.nft("flush ruleset\n" + native_rules(rules)),
                           lambda: namespace.nft("flush chain inet kept input\n" + "".join(f"add rule inet kept input {rule}\n" for rule in rules)),
                           lambda: namespace.nft(native_rules(["udp dport 1 counter", *rules[::-1]]))):
                for port in range(7301, 7305):
                    send_udp(namespace, port, 10)
                reload()
            send_udp(namespace, 7303, 3)
            series.wait_sum(163)
            counted = {dict(labels)["rule"]: value for labels, value in series.before.items()}
            assert counted == {rules[0]: 40, rules[1]: 83, rules[2]: 40}, counted

            # What was saved and restored with its counts is no new packet.
            saved = namespace.run("nft", "list", "ruleset").stdout
            send_udp(namespace, 7301, 5)
            namespace.nft("flush ruleset\n" + saved)
            send_udp(namespace, 7301, 2)
            namespace.nft("flush ruleset\n" + saved)
            send_udp(namespace, 7301, 1)
            series.wait_sum(171)


def test_what_was_counted_since_the_last_poll_survives_iptables_reloads():
    with Namespace() as namespace:
        namespace.run("iptables-nft-restore", input=iptables_rules(KEPT))
        with Daemon(namespace, SELDOM) as daemon:
            daemon.wait_ready()
            series = Series(daemon, KEPT)
            wait_until(lambda: len(series.now()) == 2, 5, "the rules")
            for change in (["iptables-nft-restore"], ["iptables-nft", "-Z"],
                           ["iptables-nft", "-R", "INPUT", "1", *KEPT[0].split()],
                           ["sh", "-c", "iptables-nft-save -c | iptables-nft-restore -c"]):
                send_udp(namespace, 7301, 10)
                namespace.run(*change, input=iptables_rules(KEPT))
            series.wait_sum(40)


def test_ten_reloads_a_second():
    seconds = 60 if FULL else 6
    with Namespace() as namespace:
        namespace.nft(native_rules(NATIVE))
        namespace.run("iptables-legacy-restore", input=iptables_rules(KEPT))
        with Daemon(namespace, QUICK) as daemon:
            daemon.wait_ready()
            native, legacy = Series(daemon, NATIVE), Series(daemon, KEPT)
            wait_until(lambda: len(native.now()) == 2 and len(legacy.now()) == 2, 5, "the rules")
            stop = threading.Event()
            failures = []

            def reload():
                number = 0
                while not stop.wait(0.1):
                    number += 1
                    try:
                        namespace.nft(native_rules([f"udp dport {number % 100 + 1} counter", *NATIVE]))
                        namespace.run("iptables-legacy-restore", input=iptables_rules([*KEPT, f"-p udp -m udp --dport {number % 100 + 1} -j LOG"]))
                        send_udp(namespace, 7301, 3)
                    except Exception as error:
                        failures.append(error)
                        return

            thread = threading.Thread(target=reload)
            thread.start()
            try:
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    native.check()
                    legacy.check()
                    time.sleep(0.05)
            finally:
                stop.set()
                thread.join()
            assert not failures, failures
            print(f"  {changes(daemon, 'nftables'):.0f} changes of nftables, {changes(daemon, 'iptables-legacy'):.0f} seen of legacy tables")
            wait_until(lambda: daemon.metrics().value("conntally_collector_success", collector="nftables") == 1, 5, "a good read")
            wait_until(lambda: len(rules_of(daemon, backend="nftables")) == 3, 5, "that no stale rule is left")


def test_drops_just_before_a_reload_are_named():
    with Namespace() as namespace:
        namespace.nft(native_rules(NATIVE))
        with Daemon(namespace, SELDOM) as daemon:
            daemon.wait_ready()
            series = Series(daemon, NATIVE)
            wait_until(lambda: len(series.now()) == 2, 5, "the rules")
            ebpf = lambda: list(daemon.metrics().series("conntally_collector_success", collector="ebpf").values())
            wait_until(ebpf, 5, "that eBPF is tried")
            if ebpf() != [1]:
                raise Skip("no eBPF here")
            for _ in range(3):
                send_udp(namespace, 7301, 10)
                namespace.nft(native_rules(NATIVE))
            named = {"source": "127.0.0.1", "rule": NATIVE[0], "via": "ebpf"}
            wait_until(lambda: list(daemon.metrics().series("conntally_source_dropped_packets_total", **named).values()) == [30], 15,
                       "30 packets dropped by the rule")


main()
