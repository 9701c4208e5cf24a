#!/usr/bin/env python3
"""What the shipped rules cost Prometheus, without the machine's load in it: the samples that each reads, as Prometheus counts them.

Half an hour of five hosts' series is written to a database, and a real Prometheus evaluates each rule once. With `prometheus` and
`promtool` on the PATH:

    test/bench/rule_cost.py [FILE ...]
"""

import collections
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOSTS, SOURCES, RULES, SCRAPES, EVERY, START = 5, 100, 200, 132, 15, 1_800_000_000


def series():
    """(name, labels, value at scrape k) of one host: a gateway that exports 100 sources, five of which are alerts."""
    for name, value in (("table_entries", 50_000), ("table_entries_limit", 262_144), ("table_seconds_until_full", 1e9), ("synced", 1)):
        yield f"conntally_{name}", "", lambda k, value=value: value
    for name in ("table_drops", "table_early_drops", "table_insert_failed", "table_full_messages", "netlink_overruns"):
        yield f"conntally_{name}_total", "", lambda k: 0
    yield "up", "", lambda k: 1
    yield "conntally_alerts_last_evaluation_timestamp_seconds", "", lambda k: START + k * EVERY
    for name in "conntrack table drops ebpf nftables iptables-legacy ip6tables-legacy".split():
        yield "conntally_collector_success", f',collector="{name}"', lambda k: 1
    for i in range(SOURCES):
        source = f',source="10.0.0.{i}"'
        for name in ("connections", "unreplied_connections", "destination_ports"):
            yield f"conntally_source_{name}", source, lambda k, i=i: 100 + i
        yield "conntally_source_opened_total", source, lambda k, i=i: 10 * k * i
        for name in ("limited_connections", "connections_limit") if i % 2 else ():
            yield f"conntally_source_{name}", source + ',origin="nft"', lambda k: 1000
        if i % 5 == 0:
            yield "conntally_source_dropped_packets_total", source + ',via="ebpf",rule="r"', lambda k: k
        if i < 5:
            yield "conntally_alert_firing", source + f',alert="SourceScanning",severity="{"info" if i < 3 else "warning"}"', lambda k: 1
    for i in range(RULES):
        labels = f',backend="nftables",family="inet",table="filter",chain="input",handle="{i}",verdict="{"drop" if i % 2 else "accept"}",rule="udp dport {i}"'
        yield "conntally_rule_packets_total", labels, lambda k, i=i: k * i


def write(path):
    lines = collections.defaultdict(list)
    for name, labels, value in series():
        for host in range(HOSTS):
            lines[name] += [f'{name}{{job="conntally",instance="host-{host}"{labels}}} {value(k)} {START + k * EVERY}' for k in range(SCRAPES)]
    path.write_text("".join(f"# TYPE {name} gauge\n" + "\n".join(each) + "\n" for name, each in lines.items()) + "# EOF\n")


def evaluated(url, expression):
    query = urllib.parse.urlencode({"query": expression, "time": START + (SCRAPES - 2) * EVERY, "stats": "all"})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}") as answer:
        return json.load(answer)["data"]["stats"]["samples"]["totalQueryableSamples"]


def main():
    files = sys.argv[1:] or [ROOT / "config/prometheus/alerts.yaml", ROOT / "config/prometheus/rules.yaml"]
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        write(home / "series")
        (home / "prometheus.yml").write_text("{}\n")
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", home / "series", home / "data"], check=True, stdout=subprocess.DEVNULL)
        with socket.create_server(("127.0.0.1", 0)) as chosen:
            address = "127.0.0.1:%d" % chosen.getsockname()[1]
        prometheus = subprocess.Popen(["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data", "--log.level=error",
                                       "--storage.tsdb.retention.time=100y", f"--web.listen-address={address}"])
        try:
            while prometheus.poll() is None:
                try:
                    urllib.request.urlopen(f"http://{address}/-/ready").close()
                    break
                except OSError:
                    time.sleep(0.2)
            for file in files:
                for group in yaml.safe_load(pathlib.Path(file).read_text())["groups"]:
                    samples = sum(evaluated(f"http://{address}", rule["expr"]) for rule in group["rules"])
                    print(f"{pathlib.Path(file).name} {group['name']}: {samples / HOSTS:.0f} samples read per host, each {group.get('interval', 'evaluation')}")
        finally:
            prometheus.kill()
            prometheus.wait()


if __name__ == "__main__":
    main()
