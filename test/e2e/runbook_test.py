#!/usr/bin/env python3
"""The runbook's remedies are commands that work: each is run in a namespace that has an ordinary firewall, in the order of the text."""

import contextlib
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import *

RUNBOOK = ROOT / "config/prometheus/RUNBOOK.md"
# The machine's own, not a namespace's: only that they can be written is looked at.
OF_THE_MACHINE = ("nf_conntrack_max=", "nf_conntrack_buckets=")


def commands():
    """(heading, command) of every line of every block of shell among the remedies."""
    heading, inside = None, False
    for line in RUNBOOK.read_text().split("# Remedies\n", 1)[1].splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("```"):
            inside = line == "```sh"
        elif inside and line.strip():
            yield heading, re.sub(r"\s{2,}#.*", "", line)


def test_every_command_of_the_remedies_works():
    with Namespace() as namespace:
        namespace.nft("table inet filter { chain input { type filter hook input priority 0; ct state new counter; }; }\n")
        ct_load(namespace, "create", "--count", 100, "--sources", 10)
        ran = 0
        for heading, command in commands():
            if any(setting in command for setting in OF_THE_MACHINE):
                path = re.search(r"(net\.\S+)=", command)[1].replace(".", "/")
                assert os.access(f"/proc/sys/{path}", os.W_OK), command
                continue
            command = re.sub(r"~/\S+", "/dev/null", command.replace("192.0.2.7", "10.0.0.1"))
            done = namespace.run("sh", "-c", command, check=False)
            assert done.returncode == 0, f"{heading}: {command}\n{done.stdout}{done.stderr}"
            ran += 1
        assert ran >= 25, f"only {ran} commands were found"
        print(f"  {ran} commands")
        assert not namespace.run("conntrack", "-L", "--src", "10.0.0.1").stdout, "the source's connections are still there"


def open_connections(namespace, source, count):
    for port in range(7000, 7000 + count):
        with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.bind((source, 0))
            sender.connect(("127.0.0.1", port))
            sender.send(b"x")


def test_the_limit_per_source_turns_away_who_is_past_it_and_not_the_exception():
    def turned_away(namespace):
        return int(re.search(r"counter packets (\d+)", namespace.run("nft", "list", "table", "inet", "protect").stdout)[1])

    with Namespace() as namespace:
        for heading, command in commands():
            if heading == "Limit connections per source" and command.startswith("nft"):
                namespace.run("sh", "-c", command.replace("forward", "output").replace("over 200", "over 20"))
        namespace.ip("addr", "add", "192.0.2.10/32", "dev", "lo")
        open_connections(namespace, "127.0.0.9", 30)
        assert turned_away(namespace) == 10
        open_connections(namespace, "192.0.2.10", 30)
        assert turned_away(namespace) == 10, "the exception is limited too"


main()
