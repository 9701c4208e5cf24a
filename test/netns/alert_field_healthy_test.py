#!/usr/bin/env python3
"""Healthy hosts of many kinds under real traffic, with the default configuration and the shipped rules: neither judge may wake anybody.
In short every other one; with CONNTALLY_FULL=1 all, ten minutes each. To look at some of them:
CONNTALLY_FIELD_HOSTS="log_sink ipv6_web" CONNTALLY_FIELD_SECONDS=60."""

import collections

from alert_field import *
from alert_field_healthy_hosts import healthy_hosts
from alert_field_noisy_hosts import noisy_hosts
from daemon import forget_logs
from staged import print_table

SECONDS = int(os.environ.get("CONNTALLY_FIELD_SECONDS", 600 if FULL else 100))
TOGETHER = 24  # hosts: more are too much for two cores, and then connections fail in truth
OPENED_LEAST = 2.5  # connections a second: a host on which nothing happens proves nothing


def false_alarms(hosts, tellings):
    """[(host, judge, alert, severity, source, rule)], each once, of what was seen at any second or stands in a daemon's log."""
    seen = {telling.key: telling for telling in tellings if telling.loud}
    for host in hosts:
        for state, alert, severity, source, rule in logged(host):
            if state == "firing" and severity != "info":
                seen.setdefault((host.name, "daemon", alert, severity, source, rule), None)
    return seen


def tell(hosts, tellings, alarms):
    by_alert = collections.defaultdict(collections.Counter)
    for host, judge, alert, severity, _, _ in alarms:
        by_alert[alert, severity][judge] += 1
    silent = {judge: sum(all(key[:2] != (host.name, judge) for key in alarms) for host in hosts) for judge in JUDGES}
    print_table([("false alarms", "severity", *JUDGES)] + [(*key, *(told[judge] for judge in JUDGES)) for key, told in sorted(by_alert.items())]
                + [("hosts told of nothing", f"of {len(hosts)}", *(silent[judge] for judge in JUDGES))])
    for key, telling in sorted(alarms.items()):
        print(f"  {telling}: {telling.description}" if telling else f"  {' '.join(key)}: in the log alone")
    facts = collections.Counter(telling.alert for telling in tellings if not telling.loud and telling.judge == "daemon")
    print(f"  facts (info), by the daemons: {dict(facts)}")


def test_no_healthy_host_wakes_anybody():
    hosts = healthy_hosts(SECONDS)[:: 1 if FULL else 2]
    if wanted := os.environ.get("CONNTALLY_FIELD_HOSTS"):
        hosts = [host for host in [*healthy_hosts(SECONDS), *noisy_hosts()] if host.name in wanted.split()]
    for first in range(0, len(hosts), TOGETHER):
        nobody_is_woken(hosts[first : first + TOGETHER])


def test_no_host_where_much_fails_wakes_anybody():
    if not FULL:
        print("  only with CONNTALLY_FULL=1")
    elif not os.environ.get("CONNTALLY_FIELD_HOSTS"):
        nobody_is_woken(noisy_hosts())


def nobody_is_woken(hosts):
    with Field(hosts, 15 if FULL else 5) as field:
        tellings = field.run(SECONDS)
        busy = {}
        for host in hosts:
            metrics = host.daemon.metrics()
            busy[host.name] = [round(metrics.sum(f"conntally_{what}") / SECONDS, 1) for what in ("connections_opened_total", "dropped_packets_total")]
            busy[host.name].append(round(metrics.value("conntally_table_entries")))
        alarms = false_alarms(hosts, tellings)
        tell(hosts, tellings, alarms)
        print_table([("host", "opened/s", "dropped/s", "entries")] + [(name, *figures) for name, figures in busy.items()])
        idle = {name: figures for name, figures in busy.items() if sum(figures[:2]) < OPENED_LEAST}
        assert not idle, f"too little happened for a proof: {idle}"
        deaf = {who: failed for who, failed in field.watch.silent.items() if failed > SECONDS / 2}
        assert not deaf, f"so often a judge did not answer: {deaf}"
        up = {labels["instance"] for labels, value in field.prometheus.query("up == 1")}
        assert up == {host.name for host in hosts}, f"Prometheus did not reach {({host.name for host in hosts} - up)}"
        forget_logs()  # what matters of them stands above
        assert not alarms, f"{len(alarms)} false alarms on {len({key[0] for key in alarms})} of {len(hosts)} healthy hosts"


main()
