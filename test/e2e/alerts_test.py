#!/usr/bin/env python3
"""The daemon's own alerts: real traffic, a real Alertmanager, and a webhook that says who was woken by what."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from alertmanager import alerting
from dropped_traffic import client_and_host, send
from harness import *

# The documented thresholds with shorter `for`s.
QUICK = """
rules: {poll_interval: 1s}
alerts:
  table_usage: {for: 2s}
  table_full_within: {for: 4s}
  source_table_share: {for: 2s}
  source_limit_usage: {for: 2s}
  source_drop_rate: {for: 3s}
  source_new_rate: {for: 3s}
  source_scan: {for: 3s}
  drop_rule_spike: {for: 3s}
"""
PUSHED = QUICK + 'alertmanager: {urls: ["http://127.0.0.1:9093"], external_labels: {site: test}}\n'
LIMITED = PUSHED + 'limits: [{source: "10.0.0.1/32", connections: 100}, {source: "10.0.0.2/32", connections: 100}]\n'
# Answered connections: anything else is a scan, by its very definition.
ANSWERED = ("--protocol", "udp", "--replied-every", 1, "--destination-ports", 4, "--timeout", 600)
NEAR = "SourceNearConnectionLimit"


def hold(namespace, source, count, verb="create", first=0):
    """`count` connections of 10.0.0.`source`."""
    return ct_load(namespace, verb, "--sources", 1, "--source-offset", source - 1, "--first", first, "--count", count, *ANSWERED)


def alerts_of(daemon, **wanted):
    answer = daemon.get("/api/v1/alerts")
    assert answer.status == 200, answer.text
    return [alert for alert in answer.json()["alerts"] if all(alert[key] == value for key, value in wanted.items())]


def firing(daemon):
    """{(alert, severity, source, rule)} of the metric."""
    return {
        tuple(dict(labels).get(name, "") for name in ("alert", "severity", "source", "rule"))
        for labels in daemon.metrics().series("conntally_alert_firing")
    }


def test_a_source_that_climbs_past_its_limit_is_told_and_its_leaving_as_well():
    with Namespace() as namespace, alerting(namespace) as (_, webhook), Daemon(namespace, PUSHED) as daemon:
        namespace.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "-m", "connlimit", "--connlimit-above", "100", "-j", "REJECT")
        daemon.wait_ready()
        hold(namespace, 1, 79)
        time.sleep(6)
        rule = next(dict(labels)["rule"] for labels in daemon.metrics().series("conntally_rule_packets_total"))
        assert "connlimit-above 100" in rule, rule
        assert not firing(daemon) and not webhook.heard, (firing(daemon), webhook.all())
        hold(namespace, 1, 4, first=79)
        told = webhook.wait_for(NEAR, "firing", 15, source="10.0.0.1")
        assert told.labels["severity"] == "warning" and told.labels["site"] == "test" and told.labels["instance"], told.labels
        assert "83 of the 100" in told.annotations["description"], told.annotations
        assert told.annotations["runbook_url"].endswith("#sourcenearconnectionlimit"), told.annotations
        assert firing(daemon) == {(NEAR, "warning", "10.0.0.1", rule)}
        [alert] = alerts_of(daemon, state="firing")
        assert alert["value"] == 0.83 and alert["threshold"] == 0.8 and alert["evidence"]["limit"] == 100, alert
        status = namespace.run(BINARY, "status", "--config", daemon.config_file).stdout
        assert "1 firing" in status, status

        hold(namespace, 1, 14, first=83)
        webhook.wait_for(NEAR, "firing", 15, source="10.0.0.1", severity="critical")
        assert firing(daemon) == {(NEAR, "critical", "10.0.0.1", rule)}
        assert not [each for each in webhook.heard if each.status == "resolved"], webhook.all()

        hold(namespace, 1, 97, "delete")
        for severity in ("warning", "critical"):
            webhook.wait_for(NEAR, "resolved", 20, source="10.0.0.1", severity=severity)
        assert not firing(daemon)
        assert {alert["state"] for alert in alerts_of(daemon)} == {"resolved"}
        assert len(webhook.told(NEAR)) == 4, webhook.all()
        for state in ("pending", "firing", "resolved"):
            assert f"alert {state}: alert={NEAR} severity=critical source=10.0.0.1" in daemon.log, daemon.log


def test_reject_and_drop_rules_are_named_with_the_source_that_they_hit():
    with client_and_host() as (client, host), alerting(host) as (_, webhook):
        host.nft("""
            table inet filter {
              chain input {
                type filter hook input priority 0;
                udp dport 23 counter drop comment "no telnet"
                udp dport 25 counter reject
                udp dport 53 counter drop
              }
            }""")
        with Daemon(host, PUSHED.replace("urls:", "severities: [info, warning, critical], urls:")) as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.metrics().series("conntally_collector_success", collector="ebpf"), 10, "eBPF counts drops")
            stop = time.monotonic() + 40 * SLOWNESS
            while time.monotonic() < stop and len(webhook.told("SourceMatchesDropRule", "firing")) < 2:
                send(client, "10.0.0.7", 3, 23)
                send(client, "10.0.0.8", 3, 25)
                if int(stop - time.monotonic()) % 5 == 0:
                    send(client, "10.0.0.9", 1, 53)
                time.sleep(0.4)
            webhook.wait_for("SourceMatchesDropRule", "firing", 5, source="10.0.0.7", rule='udp dport 23 counter drop comment "no telnet"')
            webhook.wait_for("SourceMatchesDropRule", "firing", 5, source="10.0.0.8", rule="udp dport 25 counter reject")
            told = {each.labels.get("source") for each in webhook.told("SourceMatchesDropRule")}
            assert told == {"10.0.0.7", "10.0.0.8"}, webhook.all()


@long_form
def test_a_table_that_fills_is_predicted_then_nearly_full_then_full():
    limit, seconds = 60_000, 60
    rate = limit / seconds
    with machine_sysctls(net__netfilter__nf_conntrack_max=limit), Namespace() as namespace, alerting(namespace) as (_, webhook):
        with Daemon(namespace, PUSHED) as daemon:
            daemon.wait_ready()
            time.sleep(10)  # a level table before it
            load = namespace.spawn(CT_LOAD, "create", "--sources", 50, "--count", limit + 3000, "--rate", rate, *map(str, ANSWERED),
                                   stdout=-3, stderr=-3)
            start, wrong, looked, entries = time.monotonic(), [], 0, 0
            while entries < 0.97 * limit:
                assert time.monotonic() - start < 3 * seconds * SLOWNESS, "the load is slower than asked"
                metrics = daemon.metrics()
                entries, told = metrics.value("conntally_table_entries"), metrics.value("conntally_table_seconds_until_full")
                # By how fast it did grow.
                truth = (limit - entries) / max(entries / (time.monotonic() - start), 1)
                if entries > limit / 2:
                    looked += 1
                    if abs(told - truth) > 0.2 * truth:
                        wrong.append((round(truth, 1), told))
                time.sleep(0.5)
            load.wait(60 * SLOWNESS)
            webhook.wait_for("ConntrackTableFull", "firing", 20)
            print(f"  time to full: {looked - len(wrong)} of {looked} within a fifth of the truth")
            assert looked > 20 and len(wrong) <= looked * 0.05, wrong
            first = {alert: webhook.told(alert, "firing")[0].seconds for alert in
                     ("ConntrackTableFillPredicted", "ConntrackTableNearlyFull", "ConntrackTableFull")}
            print(f"  told after {first}")
            assert first["ConntrackTableFillPredicted"] < first["ConntrackTableNearlyFull"] < first["ConntrackTableFull"], webhook.all()
            description = webhook.told("ConntrackTableFillPredicted", "firing")[0].annotations["description"]
            assert "Growth in the last" in description and "10.0.0." in description, description
            others = webhook.names() - set(first)
            assert not others - {"SourceConnectionChurn"}, webhook.all()


def test_an_outage_of_alertmanager_loses_and_doubles_nothing():
    with Namespace() as namespace, alerting(namespace) as (alertmanager, webhook), Daemon(namespace, LIMITED) as daemon:
        daemon.wait_ready()
        hold(namespace, 1, 85)
        webhook.wait_for(NEAR, "firing", 15, source="10.0.0.1")
        time.sleep(2)  # Alertmanager notes whom it told only after the webhook's answer; stopped before, it tells no end
        alertmanager.stop()
        hold(namespace, 2, 85)
        wait_until(lambda: len(firing(daemon)) == 2, 10, "the second fires")
        hold(namespace, 1, 85, "delete")
        wait_until(lambda: len(firing(daemon)) == 1, 15, "the first ends")
        time.sleep(60 if FULL else 15)
        before = len(webhook.heard)
        alertmanager.start()
        webhook.wait_for(NEAR, "firing", 45, source="10.0.0.2")
        webhook.wait_for(NEAR, "resolved", 45, source="10.0.0.1")
        time.sleep(5)
        assert before == 1 and len(webhook.heard) == 3, webhook.all()
        results = daemon.metrics().by_label("conntally_alert_notifications_total", "result")
        assert results["failure"] > 0 and results["success"] >= 3, results


def test_a_restart_while_firing_is_no_end_and_no_second_page():
    with Namespace() as namespace, alerting(namespace) as (_, webhook), Daemon(namespace, LIMITED) as daemon:
        daemon.wait_ready()
        hold(namespace, 1, 85)
        webhook.wait_for(NEAR, "firing", 15, source="10.0.0.1")
        for end in (daemon.close, daemon.kill):
            end()
            time.sleep(3)
            daemon.start()
            daemon.wait_ready()
            wait_until(lambda: firing(daemon) == {(NEAR, "warning", "10.0.0.1", "")}, 15, "it fires again")
            time.sleep(4)
        assert len(webhook.heard) == 1, webhook.all()
        hold(namespace, 1, 85, "delete")
        webhook.wait_for(NEAR, "resolved", 20, source="10.0.0.1")
        assert len(webhook.heard) == 2, webhook.all()


def test_a_reload_takes_over_thresholds_and_alertmanagers():
    with Namespace() as namespace, alerting(namespace) as (_, webhook), Daemon(namespace, QUICK) as daemon:
        daemon.wait_ready()
        hold(namespace, 1, 30)
        time.sleep(4)
        assert not firing(daemon)
        daemon.write_config(PUSHED + 'limits: [{source: "10.0.0.0/8", connections: 32}]\n')
        daemon.signal(signal.SIGHUP)
        webhook.wait_for(NEAR, "firing", 15, source="10.0.0.1")
        daemon.write_config(PUSHED)
        daemon.signal(signal.SIGHUP)
        webhook.wait_for(NEAR, "resolved", 20, source="10.0.0.1")


@long_form
def test_a_hundred_thousand_forged_sources_hide_no_real_offender_and_fill_no_mailbox():
    sources, offender = 100_000, "10.9.9.9"
    # Each of them is past its limit, of a single connection.
    config = PUSHED + 'limits: [{source: "0.0.0.0/0", connections: 1}]\n'
    with Namespace() as namespace, alerting(namespace) as (_, webhook), Daemon(namespace, config) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--sources", sources, "--count", sources, "--protocol", "udp", "--timeout", 600)
        wait_until(lambda: firing(daemon), 30, "the forged ones fire")
        hold(namespace, 9 * 65536 + 9 * 256 + 9, 60)
        webhook.wait_for(NEAR, "firing", 40, source=offender)
        assert f"alert firing: alert={NEAR} severity=critical source={offender}" in daemon.log
        time.sleep(20)
        [many] = [alert for alert in alerts_of(daemon, alert=NEAR, state="firing") if alert["source"] is None]
        assert many["subjects"] > 50 and "/api/v1/sources" in many["description"], many
        assert len(alerts_of(daemon)) < 60, len(alerts_of(daemon))
        namespace.run("conntrack", "-F")
        wait_until(lambda: not [each for each in firing(daemon) if each[0] == NEAR], 90, "all end")
        time.sleep(3)
        assert len([each for each in webhook.told(NEAR, "firing", source=offender)]) == 1, webhook.all()
        assert len(webhook.heard) <= 20, webhook.all()
        lines = [line for line in daemon.log.splitlines() if " alert " in line]
        assert len(lines) < 100, lines
        print(f"  {len(webhook.heard)} notifications, {len(lines)} lines in the log")


def test_a_fact_is_shown_and_pushed_only_where_it_is_asked_for():
    # Without a judgement of its own, a fact is what the daemon makes of a stranger that a rule drops.
    with client_and_host() as (client, host), alerting(host) as (_, webhook):
        host.nft("table inet filter {\n chain input {\n type filter hook input priority 0;\n udp dport 23 counter drop\n }\n}\n")
        with Daemon(host, PUSHED) as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.metrics().series("conntally_collector_success", collector="ebpf"), 10, "eBPF counts drops")

            def knocked(seen):
                send(client, "10.0.0.7", 4, 23)
                return seen()

            fact = ("SourceMatchesDropRule", "info", "10.0.0.7", "udp dport 23 counter drop")
            wait_until(lambda: knocked(lambda: fact in firing(daemon)), 40, "the fact is told")
            assert not webhook.heard, webhook.all()
            status = daemon.get("/api/v1/status").json()["alerts"]
            assert status["firing"] == 0 and status["info"] == 1, status
            daemon.write_config(PUSHED.replace("urls:", "severities: [info], urls:"))
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: knocked(lambda: webhook.told("SourceMatchesDropRule", "firing", severity="info")), 20, "the fact is pushed")


main()
