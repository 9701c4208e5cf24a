#!/usr/bin/env python3
"""Every panel of the dashboards shows something: a real Prometheus scrapes a real daemon under real traffic, and answers each query."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from dropped_traffic import client_and_host, send
from harness import *
from prometheus_server import Prometheus

CONFIG = """
rules: {poll_interval: 1s}
conntrack: {reconcile_interval: 5s}
limits:
  - {source: "10.0.0.0/8", connections: 100}
"""
# Replies of the daemon and of Prometheus over loopback are not tracked: they'd be sources too.
FIREWALL = """
table inet filter {
  chain raw { type filter hook prerouting priority -300; iifname "lo" notrack; }
  chain raw_out { type filter hook output priority -300; oifname "lo" notrack; }
  chain input {
    type filter hook input priority 0; policy accept;
    ct state established accept
    udp dport 7101 counter drop
    udp dport 7102 counter reject
    udp dport 7103 accept
  }
}
"""
SECONDS = 20
# What is recorded of pods needs a cluster; its own rules have a test of promtool's.
OF_PODS = re.compile(r"\bnamespace_pod:")


def traffic(client, host):
    """Connections that come and go, some that stay, and packets that rules drop and reject."""
    # The table grows all the while, so that there is a time to full.
    growth = host.spawn(CT_LOAD, "create", "--count", 100 * SECONDS, "--rate", 100, "--sources", 20, stdout=subprocess.DEVNULL)
    churn = host.spawn(CT_LOAD, "churn", "--first", 1_000_000, "--live", 500, "--rate", 400, "--seconds", SECONDS, "--sources", 50,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        send(client, "10.0.0.1", 20, 7101)
        send(client, "10.0.0.2", 20, 7102)
        send(client, "2001:db8::7", 20, 7101)
        send(client, "10.0.0.3", 5, 7103)
        time.sleep(0.2)
    assert churn.wait(30) == 0 and growth.wait(30) == 0


def substituted(expression, variables):
    return re.sub(r"\$(?:\{(\w+)[^}]*\}|(\w+))", lambda found: variables[found[1] or found[2]], expression)


def check_dashboard(prometheus, name):
    dashboard = json.loads((ROOT / f"config/grafana/{name}.json").read_text())
    # As Grafana does it: a window of four scrapes at least, and `All` is what the variable says it is.
    variables = {"__rate_interval": "6s"}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
        values = prometheus.label_values(label, substituted(selector, variables))
        assert values, f"{name}: nothing to choose from for {variable['name']}"
        variables[variable["name"]] = variable["allValue"] if variable["includeAll"] else values[0]
    empty, asked = [], 0
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            if OF_PODS.search(target["expr"]):
                continue
            asked += 1
            rows = prometheus.query(substituted(target["expr"], variables))
            if not rows or any(value != value for _, value in rows):
                empty.append(f"{panel['title']}: {target['expr']}: {rows[:3] or 'nothing'}")
            for placeholder in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                # A rule that isn't known has no label; but never has all of a panel's series none.
                if rows and not any(placeholder in labels for labels, _ in rows):
                    empty.append(f"{panel['title']}: no series has the label {placeholder} of its legend")
    print(f"  {name}: {asked} queries")
    return empty


def test_every_panel_shows_something():
    with client_and_host() as (client, host), Daemon(host, CONFIG) as daemon:
        host.nft(FIREWALL)
        # Whose chains count what goes to their policy.
        host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "9", "-j", "DROP")
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        with Prometheus(host) as prometheus:
            traffic(client, host)
            # Everything is in the exposition now: rules, drops, limits, alerts.
            linted = run("promtool", "check", "metrics", input=daemon.metrics().text, check=False).stderr.splitlines()
            assert [line for line in linted if line] == [], linted
            empty = check_dashboard(prometheus, "conntally-host") + check_dashboard(prometheus, "conntally-fleet")
            assert not empty, "\n".join(empty)
            assert not prometheus.rule_errors(), prometheus.rule_errors()
            recorded = set(re.findall(r"record: (\S+)", (ROOT / "config/prometheus/rules.yaml").read_text()))
            recorded.remove("instance:conntally_table_seconds_until_full:bottomk20")  # nothing fills this table
            wait_until(lambda: all(prometheus.query(name) for name in recorded), 30, "every rule has recorded something")
            dropped = prometheus.query('conntally_source_dropped_packets_total{source="10.0.0.2"}')
            assert any("7102" in labels.get("rule", "") for labels, _ in dropped), dropped


main()
