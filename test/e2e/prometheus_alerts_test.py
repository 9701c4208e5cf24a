#!/usr/bin/env python3
"""From packets to the person: a daemon, a Prometheus with the shipped rules, an Alertmanager with the shipped configuration, and
whom it tells. Time runs twelve times as fast for the rules: every duration in the files is a twelfth."""

import contextlib
import os
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from alertmanager import Alertmanager, Webhook
from dropped_traffic import client_and_host, send
from harness import *
from prometheus_server import Prometheus, hastened

SHIPPED = ROOT / "config/alertmanager/alertmanager.yml"
CONFIG = """
rules: {poll_interval: 1s}
"""
FIREWALL = """
table inet filter { chain input {
  type filter hook input priority 0; policy accept;
  iifname lo accept
  ct state established accept
  udp dport 7101 counter drop
  udp dport 7102 counter reject
  udp dport 20000-29999 meter clients { ip saddr ct count over 100 } counter reject
}; }
"""


@contextlib.contextmanager
def all_of_it():
    # A state of its own, as the unit has it: the daemon's own `for` is not hastened, so without one a restart is a long gap.
    with tempfile.TemporaryDirectory() as state, client_and_host() as (client, host), Daemon(host, CONFIG, ("--state.directory", state)) as daemon:
        host.nft(FIREWALL)
        # Long enough that no connection ends by itself.
        host.sysctl("net.netfilter.nf_conntrack_udp_timeout", 600)
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        with Webhook(host) as webhook, Alertmanager(host, hastened(SHIPPED.read_text())), Prometheus(host) as prometheus:
            yield client, host, daemon, prometheus, webhook


def open_connections(client, source, first, last):
    for port in range(first, last):
        send(client, source, 1, 20_000 + port)


def test_a_source_nears_its_limit_and_leaves():
    near = "SourceNearConnectionLimit"
    with all_of_it() as (client, host, daemon, prometheus, webhook):
        open_connections(client, "10.0.0.9", 0, 80)
        open_connections(client, "10.0.0.8", 0, 50)
        time.sleep(5)
        assert not webhook.heard, "80 of 100 are not over 80 %"
        open_connections(client, "10.0.0.9", 80, 86)
        told = webhook.wait_for(near, "firing", 20, path="/later", source="10.0.0.9", severity="warning")
        print(f"  told {told.seconds:.1f} s after the start: {told.annotations['description']}")
        assert told.annotations["description"].startswith("localhost:9105: 10.0.0.9 is near the limit of connections (udp dport 20000-29999 "), told.annotations
        assert told.annotations["description"].endswith(" It has 86 connections."), told.annotations
        assert told.annotations["runbook_url"].endswith("RUNBOOK.md#sourcenearconnectionlimit")

        # A restart is neither news nor an end.
        daemon.close()
        time.sleep(2)
        daemon.start()
        daemon.wait_ready()
        time.sleep(12)
        assert [(each.name, each.status) for each in webhook.heard] == [(near, "firing")], webhook.all()

        open_connections(client, "10.0.0.9", 86, 97)
        webhook.wait_for(near, "firing", 20, path="/now", source="10.0.0.9", severity="critical")

        host.run("conntrack", "-D", "--src", "10.0.0.9")
        webhook.wait_for(near, "resolved", 40, path="/now", source="10.0.0.9", severity="critical")
        wait_until(lambda: not prometheus.firing(near), 40, "it fires no more")
        assert webhook.names() == {near}, webhook.all()


@long_form
def test_strangers_that_are_dropped_and_rejected_are_facts_with_their_rule_and_wake_nobody():
    matches = "SourceMatchesDropRule"
    with all_of_it() as (client, host, daemon, prometheus, webhook):
        stop = threading.Event()

        def knock():
            while not stop.wait(0.2):
                send(client, "10.0.0.1", 4, 7101)
                send(client, "10.0.0.2", 4, 7102)

        def facts():
            rows = prometheus.query(f'conntally_alert_firing{{alert="{matches}",severity="info"}}')
            return {(labels.get("source"), labels.get("rule")) for labels, _ in rows}

        knocking = threading.Thread(target=knock)
        knocking.start()
        rules = {"10.0.0.1": "udp dport 7101 counter drop", "10.0.0.2": "udp dport 7102 counter reject"}
        try:
            wait_until(lambda: facts() == set(rules.items()), 60, "both are told")
        finally:
            stop.set()
            knocking.join()
        wait_until(lambda: not facts(), 90, "neither is told any more")
        assert not webhook.heard and not prometheus.firing(matches), webhook.all()


main()
