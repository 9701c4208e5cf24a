#!/usr/bin/env python3
"""Prometheus's and Alertmanager's files: their own programs accept them, every alert behaves, and they agree with the daemon."""

import re
import unittest

import yaml
from shipped import *

ALERTS = """ConntrackTableNearlyFull ConntrackTableFillPredicted ConntrackTableFull ConntrackInsertFailed SourceNearTableLimit
SourceNearConnectionLimit SourceMatchesDropRule SourceConnectionChurn SourceScanning DropRuleSpike ConnectionsUnanswered RegularSourcesDropped
HalfOpenFlood NatPortsNearlyExhausted ConntallyDegraded""".split()


def causes():
    """{(cause, effect)} of the table in ALERTS.md, which a unit test holds to the code."""
    text = (PROMETHEUS / "ALERTS.md").read_text().split("| cause | mutes |\n")[1].split("\n\n")[0]
    rows = [re.findall(r"`(\w+)`", line) for line in text.splitlines()[1:]]
    return {(row[0], effect) for row in rows for effect in row[1:]}


class TheirOwnPrograms(unittest.TestCase):
    def test_accept_the_configurations(self):
        tool("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
        tool("promtool", "check", "config", "--agent", PROMETHEUS / "agent.yml")
        tool("amtool", "check-config", ALERTMANAGER)

    def test_accept_the_rules(self):
        tool("promtool", "check", "rules", PROMETHEUS / "alerts.yaml", PROMETHEUS / "rules.yaml")

    def test_find_each_alert_to_fire_to_clear_and_to_outlast_gaps(self):
        files = sorted((PROMETHEUS / "tests").glob("*.yaml"))
        self.assertEqual({file.stem for file in files}, {*ALERTS, "annotations"})
        for file in files:
            with self.subTest(file=file.stem):
                self.assertIn("SUCCESS", tool("promtool", "test", "rules", file))


class Alerts(unittest.TestCase):
    def setUp(self):
        self.rules = rules_of("alerts.yaml", "alert")

    def test_are_the_daemons(self):
        self.assertEqual({rule["alert"] for rule in self.rules}, set(ALERTS))

    def test_pass_on_what_the_daemon_says_of_each_kind_and_no_fact(self):
        passed_on = [rule for rule in self.rules if "conntally_alert_firing" in rule["expr"]]
        self.assertEqual(sorted(rule["alert"] for rule in passed_on), sorted(ALERTS))
        for rule in passed_on:
            self.assertIn(f'alert="{rule["alert"]}",severity!="info"', rule["expr"])
            self.assertNotIn("severity", rule.get("labels", {}), "the daemon's own is passed on")
            self.assertNotIn("for", rule, "the daemon has waited already")

    def test_judge_the_table_by_the_default_thresholds_only_where_the_daemons_alerts_stand_still(self):
        defaults = yaml.safe_load((ROOT / "config/conntally.yaml").read_text())["alerts"]["table_usage"]
        own = [rule for rule in self.rules if rule["alert"] == "ConntrackTableNearlyFull" and "table_entries" in rule["expr"]]
        self.assertEqual(sorted(rule["labels"]["severity"] for rule in own), ["critical", "warning"])
        for rule in own:
            self.assertEqual(rule["for"], defaults["for"])
            self.assertIn(f'> {defaults[rule["labels"]["severity"]]}', rule["expr"])
        for rule in self.rules:
            if "conntally_table" in rule["expr"]:
                self.assertIn("unless on (job, instance, netns) time() - last_over_time(conntally_alerts_last_evaluation", rule["expr"])

    def test_are_muted_by_their_causes_in_alertmanager_as_in_the_daemon(self):
        muted = set()
        for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
            names = lambda matchers: [name for matcher in matchers if matcher.startswith("alertname") for name in re.findall(r"[A-Z]\w+", matcher)]
            muted |= {(cause, effect) for cause in names(rule["source_matchers"]) for effect in names(rule["target_matchers"])}
        self.assertEqual(muted - {("ConntallyDegraded", "ConntallyDegraded")}, causes())

    def test_say_what_and_how_much_and_where_to_read_on(self):
        anchors = headings((PROMETHEUS / "RUNBOOK.md").read_text())
        for rule in self.rules:
            with self.subTest(alert=rule["alert"]):
                told = rule["annotations"]
                self.assertEqual(set(told), {"summary", "description", "runbook_url"})
                self.assertNotIn("{{", told["summary"])
                self.assertIn("{{ $labels.instance }}", told["description"])
                self.assertEqual(told["runbook_url"], RUNBOOK_URL + rule["alert"].lower())
                self.assertIn(rule["alert"].lower(), anchors)
                self.assertIs("keep_firing_for" in rule, "[1m]" not in rule["expr"])

    def test_have_a_section_of_the_runbook_and_no_other_has(self):
        text = (PROMETHEUS / "RUNBOOK.md").read_text()
        sections = re.split(r"^## ", text, flags=re.M)[1:]
        named = {section.splitlines()[0]: section for section in sections}
        self.assertLessEqual(set(ALERTS), set(named))
        for name in ALERTS:
            for part in ("**Means**", "**Tell apart**", "**Try**"):
                self.assertIn(part, named[name], name)

    def test_have_a_runbook_whose_links_lead_somewhere(self):
        text = (PROMETHEUS / "RUNBOOK.md").read_text()
        self.assertLessEqual(set(re.findall(r"\]\(#([^)]+)\)", text)), headings(text))

    def test_read_no_instant_gauge_that_a_missed_scrape_would_take_away(self):
        for rule in self.rules + rules_of("alerts.yaml", "record"):
            # What is recorded in the same breath is there.
            bare = re.sub(r'up\{job="conntally"\}|\w+(:\w+){2}', "", rule["expr"])
            for metric in metrics_in(bare):
                self.assertRegex(bare, rf"{metric}(\{{[^}}]*\}})?\[", f"{metric} is read without a window: {rule['expr']}")


class Names(unittest.TestCase):
    def test_of_metrics_are_ones_that_the_daemon_has(self):
        for file in ("alerts.yaml", "rules.yaml"):
            known = exposed_metrics() | OWN_METRICS | {rule["record"] for rule in rules_of(file, "record")}
            for rule in rules_of(file, "expr"):
                self.assertLessEqual(metrics_in(rule["expr"]), known, rule["expr"])

    def test_of_recording_rules_say_level_metric_and_operations(self):
        for rule in rules_of("rules.yaml", "record") + rules_of("alerts.yaml", "record"):
            self.assertRegex(rule["record"], r"^[a-z_]+:conntally_[a-z_]+:[a-z0-9_]+$")

    def test_of_metrics_are_read_out_of_expressions(self):
        expression = 'sum by (job, rule) (rate(a_total{verdict=~"drop|b"}[2m])) / on (job) group_left () (c > 0) or x:y:z offset 5m'
        self.assertEqual(metrics_in(expression), {"a_total", "c", "x:y:z"})


if __name__ == "__main__":
    unittest.main()
