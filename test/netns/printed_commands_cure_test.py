#!/usr/bin/env python3
"""Of random rule sets, each command that `conntally diagnose` prints is run: the asked packet gets through, nobody else's fate changes, and
what the kernel did with the packet is what the diagnosis says of it. CONNTALLY_FULL=1: hundreds of rule sets."""

import concurrent.futures
import random

from harness import *
from staged import *

SOURCES = (CLIENT, OTHERS[CLIENT])
ASKED_PORTS = (22, 80, 443)
RULE_SETS = 500 if FULL else 12


def conditions(chance, nft):
    text = ""
    if chance.random() < 0.4:
        net, sign = chance.choice((*SOURCES, "192.0.2.0/24", "198.51.100.0/24")), chance.random() < 0.2
        text += f"ip saddr {'!= ' if sign else ''}{net} " if nft else f"{'! ' if sign else ''}-s {net} "
    if chance.random() < 0.5:
        text += f"tcp dport {chance.choice(ASKED_PORTS)} " if nft else f"-p tcp --dport {chance.choice(ASKED_PORTS)} "
    if chance.random() < 0.2:
        text += "ct state new " if nft else "-m conntrack --ctstate NEW "
    return text


def rules_of(chance, nft, chain):
    lines = []
    for _ in range(chance.randrange(1, 5)):
        verdict = chance.choice(("accept", "drop", "drop", "reject", "jump", "goto", "return"))
        if verdict in ("jump", "goto"):
            verdict = "drop" if chain == "b" else f"{verdict} {'b' if chain == 'a' else chance.choice('ab')}"
        if not nft:
            verdict = "-j " + verdict.upper() if " " not in verdict else {"jump": "-j ", "goto": "-g "}[verdict.split()[0]] + verdict.split()[1]
        # The answer to an attempt is never stopped here: the client's own packets are.
        lines.append(conditions(chance, nft) + verdict)
    return lines


def rule_set(chance):
    """Its tool and text; established connections pass first, as everywhere."""
    nft, policy = chance.random() < 0.6, chance.choice(("accept", "drop"))
    base, a, b = (rules_of(chance, nft, chain) for chain in ("base", "a", "b"))
    if not nft:
        lines = ["-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A INPUT -p icmp -j ACCEPT"]
        lines += [f"-A {chain} {rule}" for chain, rules in (("INPUT", base), ("a", a), ("b", b)) for rule in rules]
        text = f"*filter\n:INPUT {policy.upper()} [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n" + "\n".join(lines) + "\nCOMMIT\n"
        return chance.choice(("iptables-nft", "iptables-legacy")), text
    chain = lambda name, head, rules: f"chain {name} {{\n{head}\n" + "\n".join(rules) + "\n}\n"
    body = chain("b", "", b) + chain("a", "", a)
    body += chain("input", f"type filter hook input priority 0; policy {policy};", ["ct state established accept", "meta l4proto icmp accept", *base])
    text = f"table ip t {{\n{body}}}\n"
    if chance.random() < 0.3:  # a table behind it that may stop the same
        text += "table ip late {\n" + chain("input", "type filter hook input priority 10; policy accept;", [conditions(chance, True) + "drop"]) + "}\n"
    return "nft", text


def set_up(stage, tool, text):
    stage.clear()
    stage.host.nft(text) if tool == "nft" else stage.host.run(f"{tool}-restore", input=text)


def fates(stage):
    """Who gets in. A reject may be told or not: the kernel limits how often it says so."""
    pairs = [(source, port) for source in SOURCES for port in ASKED_PORTS]
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        return dict(zip(pairs, threads.map(lambda pair: stage.connect(stage.client, HOST, pair[1], pair[0]) == "open", pairs)))


def check(stage, seed):
    """What is wrong, and how many commands were run."""
    chance = random.Random(seed)
    tool, text = rule_set(chance)
    set_up(stage, tool, text)
    before = fates(stage)
    stopped = [pair for pair, fate in before.items() if not fate]
    if not stopped:
        return [], 0
    source, port = chance.choice(stopped)
    first = stage.diagnose("--source", source, "--dport", port, "--protocol", "tcp")["findings"][0]
    if first["id"] not in ("drop-rule", "reject-rule", "drop-policy", "late-accept"):
        return [f"seed {seed}: {source} port {port} does not get in, and the diagnosis says {first['id']}: {text}"], 0
    wrong = []
    for fix in first["fix"]:
        done = stage.host.run("sh", "-c", fix["command"], check=False)
        after = fates(stage)
        if done.returncode != 0 or not after[source, port]:
            wrong.append(f"seed {seed}: after `{fix['command']}` {done.stderr.strip()} {source} port {port} does not get in: {text}")
        changed = [pair for pair in before if pair != (source, port) and after[pair] != before[pair] and pair[0] != source]
        if changed:
            wrong.append(f"seed {seed}: `{fix['command']}` changes who gets in: {changed}: {text}")
        stage.host.run("sh", "-c", fix["undo"], check=False)
        undone = fates(stage)
        if undone != before:
            wrong.append(f"seed {seed}: `{fix['undo']}` does not take it back: {text}")
            set_up(stage, tool, text)
    if not first["fix"] and not first.get("decide"):
        wrong.append(f"seed {seed}: neither a command nor what to decide: {first}")
    return wrong, len(first["fix"])


def test_each_printed_command_cures_and_changes_nobody_elses_fate():
    wrong, run = [], 0
    with Stage() as stage:
        for seed in range(RULE_SETS):
            found, commands = check(stage, seed)
            wrong, run = wrong + found, run + commands
    print(f"  {run} commands run for {RULE_SETS} rule sets")
    assert not wrong, "\n".join(wrong)
    assert run >= RULE_SETS // 3, run


main()
