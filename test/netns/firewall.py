"""Firewalls in a namespace: what the tools say their rules counted, and packets to count."""

import re
import socket

from namespaces import wait_until

QUICK = "rules: {poll_interval: 100ms}\n"


def send_udp(namespace, port, count, address="127.0.0.1"):
    """`count` packets to the port; what a rule makes of them is the rule's affair."""
    sender = namespace.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        for _ in range(count):
            try:
                sender.sendto(b"x", (address, port))
            except OSError:  # a reject came back, or an output chain dropped it
                sender.sendto(b"x", (address, port))
    finally:
        sender.close()


def saved_counters(namespace, tool):
    """{(table, chain, text): [(packets, bytes), ...]} of `iptables-…-save -c`, and {(table, chain): packets} of policies."""
    rules, policies, table = {}, {}, None
    for line in namespace.run(tool, "-c").stdout.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif found := re.match(r":(\S+) (ACCEPT|DROP) \[(\d+):(\d+)\]", line):
            policies[table, found[1]] = int(found[3])
        elif found := re.match(r"\[(\d+):(\d+)\] -A (\S+) ?(.*)", line):
            rules.setdefault((table, found[3], found[4]), []).append((int(found[1]), int(found[2])))
    return rules, policies


def nft_counters(namespace, family, table):
    """{handle: (text without counters, (packets, bytes) or None)} of `nft -a list table`."""
    rules, objects = {}, {}
    listing = namespace.run("nft", "-a", "list", "table", family, table).stdout
    for found in re.finditer(r"counter (\S+) \{[^}]*packets (\d+) bytes (\d+)", listing):
        objects[found[1]] = (int(found[2]), int(found[3]))
    for line in listing.splitlines():
        found = re.match(r"\s*(.*) # handle (\d+)$", line)
        if not found or found[1].endswith("{"):
            continue
        count = re.search(r"counter packets (\d+) bytes (\d+)", found[1])
        named = re.search(r'counter name "?(\w+)"?', found[1])
        counter = (int(count[1]), int(count[2])) if count else objects[named[1]] if named else None
        rules[int(found[2])] = (re.sub(r"counter packets \d+ bytes \d+", "counter", found[1]), counter)
    return rules


def wait_for_polls(daemon, count=3, collector="nftables"):
    """Until the rules have been read anew so often: each reading takes a time of its own. The first may have begun before this."""
    taken = [None]

    def read():
        last = daemon.metrics().value("conntally_collector_duration_seconds", collector=collector)
        if last != taken[-1]:
            taken.append(last)
        return len(taken) > count + 1

    wait_until(read, 30, lambda: f"{count} readings of the rules; there were {len(taken) - 2}")


def rules_of(daemon, **wanted):
    answer = daemon.get("/api/v1/rules")
    assert answer.status == 200, answer.text
    return [rule for rule in answer.json()["rules"] if all(rule[key] == value for key, value in wanted.items())]


def counter_of(rule, which="counter"):
    return (rule[which]["packets"], rule[which]["bytes"]) if rule[which] else None


def rule_series(metrics, name="conntally_rule_packets_total"):
    """{labels as a sorted tuple: value}"""
    return {tuple(sorted(labels)): value for labels, value in metrics.series(name).items()}
