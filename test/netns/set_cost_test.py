#!/usr/bin/env python3
"""Large sets cost what is made of them: rules appear at once, and elements that nobody asks for are not read again."""

from dropped_traffic import client_and_host, dropped, send
from harness import *

ELEMENTS = 100_000
RULES = 10_000


def networks(count):
    return ", ".join(f"{20 + (i >> 13)}.{(i >> 5) & 255}.{(i & 31) * 8}.0/22" for i in range(count))


def load(host, rules=0, elements=ELEMENTS):
    more = "".join(f"udp dport {1 + i} counter accept\n" for i in range(rules))
    host.nft(f"""
        table inet b {{
            set geo {{ type ipv4_addr; flags interval; counter; elements = {{ {networks(elements)} }}; }}
            set few {{ type ipv4_addr; counter; elements = {{ 10.0.0.1 }}; }}
            chain i {{
                type filter hook input priority 0
                iifname lo accept
                {more}
                udp dport 60080 ip saddr @geo counter drop
                udp dport 60081 ip saddr @few counter drop
            }}
        }}
    """)


def cpu_seconds(daemon):
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{daemon.process.pid}/task").glob("*/schedstat")) / 1e9


def sets(daemon):
    return {row["set"]: row for row in daemon.get("/api/v1/rules?limit=1").json()["sets"]}


def is_read(daemon, name, elements):
    found = sets(daemon).get(name)
    return bool(found) and found["complete"] and found["elements"] == elements


def test_a_large_counted_set_costs_nothing_while_ebpf_counts():
    with client_and_host() as (client, host):
        load(host)
        with Daemon(host, "rules: {poll_interval: 1s}\n") as daemon:
            daemon.wait_for_log("eBPF counts")
            wait_until(lambda: is_read(daemon, "geo", ELEMENTS), 30, "the set has been read")
            time.sleep(2)
            before, start = cpu_seconds(daemon), time.monotonic()
            time.sleep(10)
            share = (cpu_seconds(daemon) - before) / (time.monotonic() - start)
            print(f"  {100 * share:.2f} % of a core")
            assert share < 0.02, share
            # Reloading rules reads no set that nobody changed; one that was changed is read anew.
            before = cpu_seconds(daemon)
            for port in range(7000, 7005):
                host.run("nft", "add", "rule", "inet", "b", "i", f"udp dport {port} counter drop")
                time.sleep(1)
            assert is_read(daemon, "geo", ELEMENTS)
            assert cpu_seconds(daemon) - before < 0.7, cpu_seconds(daemon) - before
            host.run("nft", "add", "element", "inet", "b", "few", "{ 10.0.0.2 }")
            wait_until(lambda: is_read(daemon, "few", 2), 10, "the changed set is read anew")


def test_rules_are_there_before_large_sets_are_read():
    with client_and_host() as (_, host):
        load(host, RULES)
        with Daemon(host) as daemon:
            start = time.monotonic()
            wait_until(lambda: daemon.process and f"{RULES + 3} rules" in daemon.log, 20, "the rules")
            claim(f"{RULES:,} rules with {ELEMENTS:,} counted elements", time.monotonic() - start, 2)
            wait_until(lambda: is_read(daemon, "geo", ELEMENTS), 60, "and the set, later")


def test_where_sets_are_the_only_way_they_are_read_at_a_pace():
    with client_and_host() as (client, host):
        elements = ELEMENTS // 10
        load(host, elements=elements)
        with Daemon(host, "rules: {poll_interval: 1s}\ndrops: {ebpf: off, kernel_log: false}\n") as daemon:
            daemon.wait_ready()
            wait_until(lambda: is_read(daemon, "geo", elements), 30, "the set has been read")
            send(client, "10.0.0.1", 9, 60081)
            wait_until(lambda: dropped(daemon) == {("10.0.0.1", "udp dport 60081 ip saddr @few counter drop", "set"): 9}, 100,
                       "what the sets counted")


main()
