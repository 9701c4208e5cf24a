#!/usr/bin/env python3
"""Writes conntally-host.json and conntally-fleet.json, which is what Grafana reads: change them here, then run this.

A panel is a line of what it asks and how that is shown; where it stands and all that Grafana wants besides is added by panels.py.
"""

import pathlib

from panels import CHOSEN, dashboard, gauge, query, row, series, stat, table

FOLDER = pathlib.Path(__file__).resolve().parent
SOURCE = CHOSEN[:-1] + ', source=~"$source"}'
ALARMS = CHOSEN[:-1] + ', severity!="info"}'
DROPS = CHOSEN[:-1] + ', verdict=~"drop|reject"}'
RATE = "[$__rate_interval]"
USAGE = f"conntally_table_entries{CHOSEN} / (conntally_table_entries_limit{CHOSEN} > 0)"
WARN_USAGE = [("green", None), ("orange", 0.75), ("red", 0.9)]
GOOD_IF_ONE = [("red", None), ("green", 1)]
BAD_IF_ANY = [("green", None), ("red", 1)]


def host():
    return dashboard("conntally-host", "conntally / host", "Who fills this host's conntrack table, when it is full, and who is dropped by what.", [
        row("How full"),
        stat("Time to full", "How long until the table is full at the slope of now; ∞ when it is not growing.", "s", 4,
             query(f"conntally_table_seconds_until_full{CHOSEN}"), [("red", None), ("orange", 300), ("green", 1800)], "ConntrackTableFillPredicted"),
        gauge("Table used", "Entries of the kernel's table, of those it may hold.", "percentunit", 4, query(USAGE), WARN_USAGE, "ConntrackTableNearlyFull"),
        stat("Connections", "Entries in the kernel's table, expired ones that wait for collection included.", "short", 4,
             query(f"conntally_table_entries{CHOSEN}")),
        stat("Sources", "Sources with a connection or more.", "short", 4, query(f"conntally_sources{CHOSEN}")),
        stat("Tallies are exact", "1 while the tallies are as the kernel's table; 0 while they are known to be stale.", "bool_yes_no", 4,
             query(f"conntally_synced{CHOSEN}"), GOOD_IF_ONE, "ConntallyDegraded"),
        stat("Alerts firing", "Of this host, as its own daemon judges. Facts (info) are not counted.", "short", 4,
             query(f"count(conntally_alert_firing{ALARMS} == 1) or vector(0)"), BAD_IF_ANY),
        series("Entries and their limit", "The kernel's table against nf_conntrack_max.", "short", 12,
               query(f"conntally_table_entries{CHOSEN}", "entries"), query(f"conntally_table_entries_limit{CHOSEN}", "limit"),
               alert="ConntrackTableNearlyFull"),
        series("Lost because the table was full", "Packets dropped, connections evicted before their time, and the kernel's own lines about a full table, per second.",
               "cps", 12, query(f"rate(conntally_table_drops_total{CHOSEN}{RATE})", "dropped packets"),
               query(f"rate(conntally_table_early_drops_total{CHOSEN}{RATE})", "evicted connections"),
               query(f"rate(conntally_table_full_messages_total{CHOSEN}{RATE}) or vector(0)", "table full, says the kernel"), alert="ConntrackTableFull"),

        row("Who"),
        table("Alerts", "That fire, as the daemon judges; an info is a fact, and one without a source stands for many.", 24, {
            "firing": (query(f"sum by (alert, severity, source, rule) (conntally_alert_firing{CHOSEN})"), "short"),
        }, ["alert", "severity", "source", "rule"], "alert", alert="SourceMatchesDropRule"),
        series("Top sources by connections", "The ten sources that hold most of the table.", "short", 12,
               query(f"topk(10, conntally_source_connections{SOURCE})", "{{source}}"), alert="SourceNearTableLimit"),
        series("Top sources by new connections", "The ten sources that open most connections a second.", "cps", 12,
               query(f"topk(10, rate(conntally_source_opened_total{SOURCE}{RATE}))", "{{source}}"), alert="SourceConnectionChurn"),
        series("Top sources by dropped packets", "The ten sources that lose most packets a second to rules.", "pps", 12,
               query(f"topk(10, sum by (source) (rate(conntally_source_dropped_packets_total{SOURCE}{RATE})))", "{{source}}"), alert="SourceMatchesDropRule"),
        series("Use of limits", "Connections of a source, of those that its own limit allows, by where the limit stands.", "percentunit", 12,
               query(f"topk(10, conntally_source_limited_connections{SOURCE} / conntally_source_connections_limit{SOURCE})", "{{source}} ({{origin}})"),
               alert="SourceNearConnectionLimit"),
        table("Sources", "Those with series of their own, most connections first, and what tells a proxy from a leak, a flood or a scan.", 16, {
            "connections": (query(f"conntally_source_connections{SOURCE}"), "short"),
            "share of the table": (query(f"conntally_source_connections{SOURCE} / ignoring(source) group_left () (conntally_table_entries_limit{CHOSEN} > 0)"), "percentunit"),
            "unreplied": (query(f"conntally_source_unreplied_connections{SOURCE} / (conntally_source_connections{SOURCE} > 0)"), "percentunit"),
            "destination ports": (query(f"conntally_source_destination_ports{SOURCE}"), "short"),
            "opened": (query(f"rate(conntally_source_opened_total{SOURCE}{RATE})"), "cps"),
            "dropped": (query(f"sum by (source) (rate(conntally_source_dropped_packets_total{SOURCE}{RATE}))"), "pps"),
        }, ["source"], "connections", alert="SourceScanning"),
        series("All the others", "Connections of the sources that have no series of their own.", "short", 8,
               query(f"conntally_other_sources_connections{CHOSEN}", "connections"), query(f"conntally_other_sources{CHOSEN}", "sources")),

        row("Connections"),
        series("By protocol and state", "TCP's states as conntrack names them; else whether a reply was seen.", "short", 12,
               query(f"sum by (protocol, state) (conntally_connections{CHOSEN}) > 0", "{{protocol}} {{state}}"), stacked=True, alert="HalfOpenFlood"),
        series("Opened and closed", "Connections a second. What stays open between the two lines fills the table.", "cps", 12,
               query(f"sum(rate(conntally_connections_opened_total{CHOSEN}{RATE}))", "opened"),
               query(f"sum(rate(conntally_connections_closed_total{CHOSEN}{RATE}))", "closed")),
        series("Unreplied", "The share of connections that saw no reply: floods, scans, and what is lost on the way.", "percentunit", 12,
               query(f'sum(conntally_connections{CHOSEN[:-1]}, state=~"unreplied|syn_sent"}}) / (sum(conntally_connections{CHOSEN}) > 0)', "unreplied"),
               alert="ConnectionsUnanswered"),
        series("How long they last", "From a connection's opening to its removal, the idle timeout included; of those that ended.", "s", 12,
               *[query(f"histogram_quantile({q}, sum by (le) (rate(conntally_connection_duration_seconds_bucket{CHOSEN}{RATE})))", name)
                 for q, name in ((0.5, "half"), (0.9, "9 of 10"), (0.99, "99 of 100"))]),

        row("Whom they want, and from which network"),
        table("Destinations", "As they were addressed, before any translation: those that hold most connections.", 12, {
            "connections": (query(f"topk(20, conntally_destination_connections{CHOSEN})"), "short"),
            "unreplied": (query(f"conntally_destination_unreplied_connections{CHOSEN} and on (job, instance, destination, port, protocol) topk(20, conntally_destination_connections{CHOSEN})"), "short"),
        }, ["destination", "port", "protocol"], "connections", alert="ConnectionsUnanswered"),
        series("Named networks", "Connections by network of `sources.groups`; together they are all.", "short", 6,
               query(f"conntally_group_connections{CHOSEN}", "{{group}}"), stacked=True),
        series("Ports of translated addresses", "Of the fullest address towards one destination; 0 where nothing is translated.", "percentunit", 6,
               query(f"max(conntally_nat_ports_used{CHOSEN} / conntally_nat_ports_available{CHOSEN}) or vector(0)", "used"), alert="NatPortsNearlyExhausted"),

        row("Rules"),
        table("Who is dropped by which rule", "Packets a second; without a rule where it could not be told with certainty.", 12, {
            "packets": (query(f"topk(50, sum by (source, rule, via) (rate(conntally_source_dropped_packets_total{SOURCE}{RATE})) > 0)"), "pps"),
        }, ["source", "rule", "via"], "packets", alert="SourceMatchesDropRule"),
        series("Drop and reject rules", "The ten rules that drop or reject the most packets.", "pps", 12,
               query(f"topk(10, sum by (table, chain, rule, verdict) (rate(conntally_rule_packets_total{DROPS}{RATE})))", "{{table}} {{chain}}: {{rule}}"),
               alert="DropRuleSpike"),
        series("Dropped packets, by how they were seen", "Each packet once.", "pps", 8,
               query(f"sum by (via) (rate(conntally_dropped_packets_total{CHOSEN}{RATE}))", "{{via}}"), alert="RegularSourcesDropped"),
        series("Chain policies", "Packets that no rule decided, where the kernel counts them: legacy chains.", "pps", 8,
               query(f"sum by (table, chain, policy) (rate(conntally_chain_policy_packets_total{CHOSEN}{RATE}))", "{{table}} {{chain}} {{policy}}")),
        series("Rules", "How many there are, how many count nothing, and changes of the ruleset.", "short", 8,
               query(f"sum by (backend) (conntally_rules{CHOSEN})", "{{backend}}"),
               query(f"sum by (backend) (conntally_rules_uncounted{CHOSEN})", "{{backend}}, no counter"),
               query(f"sum by (backend) (increase(conntally_ruleset_changes_total{CHOSEN}{RATE}))", "{{backend}}, changes")),

        row("The kernel's statistics"),
        series("Clashes", "Connections whose tuple was taken meanwhile: lost, or settled. Not a full table.", "cps", 8,
               query(f"rate(conntally_table_insert_failed_total{CHOSEN}{RATE})", "insert failed"),
               query(f"rate(conntally_table_clash_resolved_total{CHOSEN}{RATE})", "settled"),
               query(f"rate(conntally_table_chain_too_long_total{CHOSEN}{RATE})", "hash chain too long"), alert="ConntrackInsertFailed"),
        series("Invalid packets and restarted look-ups", "Packets that fit no connection; look-ups begun again while the table was resized.", "cps", 8,
               query(f"rate(conntally_table_invalid_packets_total{CHOSEN}{RATE})", "invalid packets"),
               query(f"rate(conntally_table_search_restarts_total{CHOSEN}{RATE})", "restarted look-ups")),
        series("Entries a bucket, and expectations", "Over 4 entries a bucket look-ups get slow. Expectations are connections that helpers wait for.", "short", 8,
               query(f"conntally_table_entries{CHOSEN} / conntally_table_buckets{CHOSEN}", "entries a bucket"),
               query(f"conntally_expectations{CHOSEN}", "expectations"), alert="ConntrackInsertFailed"),

        row("Can it be trusted"),
        series("Collectors", "1 while the collector's last round went well.", "bool_yes_no", 8,
               query(f"conntally_collector_success{CHOSEN}", "{{collector}}"), alert="ConntallyDegraded"),
        series("Events, and those lost", "Received from the kernel a second; lost ones are made good by a comparison at once.", "cps", 8,
               query(f"sum by (event) (rate(conntally_events_total{CHOSEN}{RATE}))", "{{event}}"),
               query(f"rate(conntally_netlink_events_lost_total{CHOSEN}{RATE})", "lost"), alert="ConntallyDegraded"),
        series("Corrections", "Connections that comparisons with the kernel's table set right.", "short", 8,
               query(f"increase(conntally_reconcile_corrections_total{CHOSEN}{RATE})", "{{kind}}"), alert="ConntallyDegraded"),
        series("Since the last comparison", "And how long it took.", "s", 8,
               query(f"time() - (conntally_last_reconcile_timestamp_seconds{CHOSEN} > 0)", "ago"),
               query(f"conntally_reconcile_duration_seconds{CHOSEN}", "took")),
        series("Turned away by a bound", "What there was no room for, per second.", "cps", 8,
               query(f"sum by (what) (rate(conntally_overflow_total{CHOSEN}{RATE}))", "{{what}}"), alert="ConntallyDegraded"),
        series("What conntally itself uses: CPU", "Of one CPU.", "percentunit", 4, query(f"rate(process_cpu_seconds_total{CHOSEN}{RATE})", "CPU")),
        series("And memory", "Resident, and of that the connections' table.", "bytes", 4,
               query(f"process_resident_memory_bytes{CHOSEN}", "resident"), query(f"conntally_flow_table_bytes{CHOSEN}", "connections")),
    ])


def fleet():
    worst = f"topk(20, conntally_table_entries{CHOSEN} / (conntally_table_entries_limit{CHOSEN} > 0))"
    of_them = f"and on (job, instance) {worst}"
    recorded = '{job=~"$job", source=~"$source"}'
    return dashboard("conntally-fleet", "conntally / fleet", "The worst conntrack tables first, and who fills them over all hosts. It wants rules.yaml.", [
        row("Now"),
        stat("Hosts that answer", "Hosts whose conntally answers.", "short", 4, query(f"sum(conntally_up{CHOSEN})")),
        stat("Hosts that do not", "Hosts that Prometheus cannot scrape.", "short", 4,
             query(f"count(up{CHOSEN} == 0) or vector(0)"), BAD_IF_ANY, "ConntallyDegraded"),
        stat("First full in", "The shortest time to full of any host; ∞ when none is growing.", "s", 4,
             query(f"min(conntally_table_seconds_until_full{CHOSEN})"), [("red", None), ("orange", 300), ("green", 1800)], "ConntrackTableFillPredicted"),
        stat("Worst table", "The greatest share of a table that is used.", "percentunit", 4,
             query(f"max(conntally_table_entries{CHOSEN} / (conntally_table_entries_limit{CHOSEN} > 0))"), WARN_USAGE, "ConntrackTableNearlyFull"),
        stat("Hosts with stale tallies", "They are known to differ from the kernel's table.", "short", 4,
             query(f"count(conntally_synced{CHOSEN} == 0) or vector(0)"), BAD_IF_ANY, "ConntallyDegraded"),
        stat("Alerts firing", "Of all hosts, as Prometheus evaluates them.", "short", 4,
             query('count(ALERTS{job=~"$job", instance=~"$instance", alertstate="firing"}) or vector(0)'), BAD_IF_ANY),

        row("Which host"),
        table("The worst tables", "The twenty that are used most. A host's name leads to its own dashboard.", 24, {
            "used": (query(worst), "percentunit"),
            "time to full": (query(f"conntally_table_seconds_until_full{CHOSEN} {of_them}"), "s"),
            "entries": (query(f"conntally_table_entries{CHOSEN} {of_them}"), "short"),
            "limit": (query(f"conntally_table_entries_limit{CHOSEN} {of_them}"), "short"),
            "sources": (query(f"conntally_sources{CHOSEN} {of_them}"), "short"),
            "dropped": (query(f"sum by (job, instance) (rate(conntally_dropped_packets_total{CHOSEN}{RATE})) {of_them}"), "pps"),
            "exact": (query(f"conntally_synced{CHOSEN} {of_them}"), "bool_yes_no"),
        }, ["job", "instance"], "used", alert="ConntrackTableNearlyFull", drill_down=True),
        series("Tables used", "The ten worst.", "percentunit", 12, query(f"topk(10, instance:conntally_table_usage:ratio{CHOSEN})", "{{instance}}"),
               alert="ConntrackTableNearlyFull"),
        series("Lost because the table was full", "Packets dropped and connections evicted a second, the ten worst.", "cps", 12,
               query(f"topk(10, rate(conntally_table_drops_total{CHOSEN}{RATE}) + rate(conntally_table_early_drops_total{CHOSEN}{RATE}))", "{{instance}}"),
               alert="ConntrackTableFull"),
        table("Alerts", "That fire, by host, by Prometheus's evaluation.", 12, {
            "firing": (query('sum by (alertname, severity, instance) (ALERTS{job=~"$job", instance=~"$instance", alertstate="firing"})'), "short"),
        }, ["alertname", "severity", "instance"], "firing", alert="ConntrackTableNearlyFull"),
        series("Connections opened", "A second, the ten hosts that open most.", "cps", 12,
               query(f"topk(10, instance:conntally_connections_opened:rate2m{CHOSEN})", "{{instance}}"), alert="SourceConnectionChurn"),

        row("Who, over all hosts"),
        series("Top sources by connections", "Over all the hosts that export them.", "short", 12,
               query(f"topk(10, job_source:conntally_source_connections:topk100_sum{recorded})", "{{source}}"), alert="SourceNearTableLimit"),
        table("Who holds most, at least and at most", "Connections over all hosts. On a host where a source has no series it holds no more than "
              "the most that any such source holds there. One that is not listed holds at most what the last row says.", 12, {
            "at least": (query(f"topk(20, job_source:conntally_source_connections:topk100_sum{recorded})"), "short"),
            "at most": (query(f"topk(20, job_source:conntally_source_connections:topk100_sum{recorded}) * 0"
                              f" + job_source:conntally_source_connections:topk100_upper_bound{recorded}"
                              ' or label_replace(job:conntally_unexported_source_connections:sum{job=~"$job"}, "source", "any other", "", "")'), "short"),
        }, ["source"], "at least", alert="SourceNearTableLimit"),
        series("Top sources by new connections", "Over all the hosts that export them.", "cps", 12,
               query(f"topk(10, job_source:conntally_source_opened:topk100_sum_rate2m{recorded})", "{{source}}"), alert="SourceConnectionChurn"),
        series("Top sources by dropped packets", "Over all the hosts that export them.", "pps", 12,
               query(f"topk(10, job_source:conntally_source_dropped_packets:topk100_sum_rate2m{recorded})", "{{source}}"), alert="SourceMatchesDropRule"),
        series("Drop and reject rules", "The ten that are hit most, over all hosts that have them.", "pps", 12,
               query('topk(10, job_rule:conntally_drop_rule_packets:topk100_sum_rate2m{job=~"$job"})', "{{table}} {{chain}}: {{rule}}"), alert="DropRuleSpike"),
        table("Where a source is seen", "The fifty greatest holdings of the chosen sources.", 12, {
            "connections": (query(f"topk(50, conntally_source_connections{SOURCE})"), "short"),
        }, ["source", "instance"], "connections", alert="SourceNearTableLimit"),
        series("By protocol and state", "Connections of all hosts.", "short", 12,
               query('sum by (protocol, state) (job_protocol_state:conntally_connections:sum{job=~"$job"}) > 0', "{{protocol}} {{state}}"), stacked=True),

        row("Which pods (Kubernetes)"),
        table("Pods", "The twenty that hold most connections, and the workloads that they are of. It wants kubernetes/recording-rules.yaml.", 12, {
            "connections": (query('topk(20, namespace_pod:conntally_source_connections:sum{job=~"$job"})'), "short"),
        }, ["namespace", "workload", "pod"], "connections", alert="SourceNearTableLimit"),
        series("Pods whose packets are dropped", "The ten that lose most, by rule.", "pps", 12,
               query('topk(10, namespace_pod:conntally_source_dropped_packets:rate2m{job=~"$job"})', "{{namespace}}/{{pod}}: {{rule}}"),
               alert="SourceMatchesDropRule"),

        row("Can it be trusted"),
        series("Events lost", "A second, the ten worst hosts.", "cps", 8, query(f"topk(10, rate(conntally_netlink_events_lost_total{CHOSEN}{RATE}))", "{{instance}}"),
               alert="ConntallyDegraded"),
        series("Collectors that fail", "How many, by collector.", "short", 8,
               query(f"count by (collector) (conntally_collector_success{CHOSEN}) - sum by (collector) (conntally_collector_success{CHOSEN})", "{{collector}}"),
               alert="ConntallyDegraded"),
        series("Versions", "Hosts, by the version that they run.", "short", 8, query(f"count by (version, revision) (conntally_build_info{CHOSEN})", "{{version}} {{revision}}")),
    ], of_all=True)


if __name__ == "__main__":
    for name, text in (("conntally-host.json", host()), ("conntally-fleet.json", fleet())):
        (FOLDER / name).write_text(text)
