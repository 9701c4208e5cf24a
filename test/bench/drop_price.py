#!/usr/bin/env python3
"""What a dropped packet costs in the kernel: nanoseconds of the eBPF program a packet. Root.

    test/bench/drop_price.py [BINARY ...]       several are compared over the same packets, side by side

The kernel itself takes the time of each run of a program (kernel.bpf_stats_enabled, which adds some 20 ns to each). All
programs run on the same packets; the figure is the median of the rounds.
"""

import pathlib
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))
from dropped_traffic import client_and_host  # noqa: E402
from harness import BINARY, Daemon, alone_on_this_machine, ct_load, machine_sysctls  # noqa: E402

ROUNDS, PACKETS = 7, 60_000
# Each drops all that comes to port 4000 and above; `ct` makes conntrack look first.
RULES = {
    "before conntrack": "table inet t { chain a { type filter hook prerouting priority -300; meta l4proto udp drop; }; }",
    "known to conntrack": "table inet t { chain a { type filter hook input priority 0; ct state new meta l4proto udp drop; }; }",
    "translated": """
        table ip n { chain a { type nat hook prerouting priority -100; meta l4proto udp dnat to 192.0.2.1; }; }
        table inet t { chain a { type filter hook input priority 0; ct state new meta l4proto udp drop; }; }""",
}


def runs(daemon):
    """{program: (runs, ns)} of the process."""
    found = {}
    for path in pathlib.Path(f"/proc/{daemon.process.pid}/fdinfo").iterdir():
        text = path.read_text()
        if "prog_id" in text and "run_cnt" in text:
            fields = dict(re.findall(r"^(\w+):\s*(\d+)$", text, re.M))
            found[fields["prog_id"]] = int(fields["run_cnt"]), int(fields["run_time_ns"])
    return found


def total(daemon):
    counts = runs(daemon).values()
    return sum(count for count, _ in counts), sum(ns for _, ns in counts)


def main(binaries):
    with alone_on_this_machine(), machine_sysctls(kernel__bpf_stats_enabled=1):
        for name, rules in RULES.items():
            with client_and_host() as (client, host):
                host.nft(rules + "\n")
                daemons = [Daemon(host, f"web: {{listen_address: 127.0.0.1:{9105 + i}}}\n", port=9105 + i, binary=binary) for i, binary in enumerate(binaries)]
                for daemon in daemons:
                    daemon.start()
                    daemon.wait_for_log("eBPF counts")
                prices = [[] for _ in daemons]
                for _ in range(ROUNDS):
                    before = [total(daemon) for daemon in daemons]
                    ct_load(client, "udp", "--count", PACKETS, "--sources", 1000, "--destination-ports", 20, "--destination", "192.0.2.1" if name != "translated" else "192.0.2.1")
                    for price, daemon, (count, ns) in zip(prices, daemons, before):
                        now_count, now_ns = total(daemon)
                        price.append((now_ns - ns) / max(now_count - count, 1))
                    time.sleep(0.3)
                for binary, price in zip(binaries, prices):
                    print(f"{name:20}  {binary}: {statistics.median(price):.0f} ns ({min(price):.0f} - {max(price):.0f})")
                for daemon in daemons:
                    daemon.close()


main([pathlib.Path(argument) for argument in sys.argv[1:]] or [BINARY])
