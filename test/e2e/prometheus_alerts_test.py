#!/usr/bin/env python3
"""From packets to the person: a daemon, a Prometheus with the shipped rules, an Alertmanager with the shipped configuration, and
whom it tells. Time runs twelve times as fast for the rules: every duration in the files is a twelfth."""

import contextlib
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from alertmanager_server import Alertmanager, Webhook
from dropped_traffic import client_and_host, send
from harness import *
from prometheus_server import Prometheus

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
    with client_and_host() as (client, host), Daemon(host, CONFIG) as daemon:
        host.nft(FIREWALL)
        # Long enough that no connection ends by itself.
        host.sysctl("net.netfilter.nf_conntrack_udp_timeout", 600)
        daemon.wait_ready()
        daemon.wait_for_log("eBPF counts")
        with Webhook(host) as webhook, Alertmanager(host), Prometheus(host) as prometheus:
            yield client, host, daemon, prometheus, webhook


def open_connections(client, source, first, last):
    for port in range(first, last):
        send(client, source, 1, 20_000 + port)


def test_a_source_nears_its_limit_and_leaves():
    near = {"alertname": "SourceNearConnectionLimit", "source": "10.0.0.9"}
    with all_of_it() as (client, host, daemon, prometheus, webhook):
        open_connections(client, "10.0.0.9", 0, 80)
        open_connections(client, "10.0.0.8", 0, 50)
        time.sleep(5)
        assert not webhook.messages, "80 of 100 are not over 80 %"
        open_connections(client, "10.0.0.9", 80, 86)
        took = wait_until(lambda: webhook.told("firing", "/later", severity="warning", **near), 20, "the warning is told")
        told = webhook.told("firing", **near)[0]
        print(f"  told after {took:.1f} s: {told['annotations']['description']}")
        assert told["annotations"]["description"] == "10.0.0.9 uses 86% of the connections that its limit (nft) allows on localhost:9105."
        assert told["annotations"]["runbook_url"].endswith("RUNBOOK.md#sourcenearconnectionlimit")

        # A restart is neither news nor an end.
        daemon.close()
        time.sleep(2)
        daemon.start()
        daemon.wait_ready()
        time.sleep(12)
        assert not webhook.told("resolved"), webhook.told("resolved")
        assert len(webhook.told("firing", **near)) == 1, webhook.told("firing", **near)

        open_connections(client, "10.0.0.9", 86, 97)
        wait_until(lambda: webhook.told("firing", "/now", severity="critical", **near), 20, "the critical tier is told")

        host.run("conntrack", "-D", "--src", "10.0.0.9")
        wait_until(lambda: webhook.told("resolved", "/now", severity="critical", **near), 40, "its end is told")
        wait_until(lambda: not prometheus.firing(near["alertname"]), 40, "it fires no more")
        assert webhook.names() == {near["alertname"]}, webhook.names()


def test_a_source_is_dropped_and_another_is_rejected_each_by_its_rule():
    with all_of_it() as (client, host, daemon, prometheus, webhook):
        stop = threading.Event()

        def knock():
            while not stop.wait(0.2):
                send(client, "10.0.0.1", 4, 7101)
                send(client, "10.0.0.2", 4, 7102)

        knocking = threading.Thread(target=knock)
        knocking.start()
        try:
            for source, verdict in (("10.0.0.1", "drop"), ("10.0.0.2", "reject")):
                def told():
                    return [alert for alert in webhook.told("firing", alertname="SourceMatchesDropRule", source=source) if verdict in alert["labels"].get("rule", "")]

                took = wait_until(told, 40, f"the {verdict} is told with its rule")
                print(f"  {took:.1f} s: {told()[0]['annotations']['description']}")
                assert f"710{source[-1]}" in told()[0]["labels"]["rule"], told()[0]
        finally:
            stop.set()
            knocking.join()
        for source in ("10.0.0.1", "10.0.0.2"):
            wait_until(lambda: webhook.told("resolved", alertname="SourceMatchesDropRule", source=source), 60, "its end is told")
        assert webhook.names() == {"SourceMatchesDropRule"}, webhook.names()


main()
