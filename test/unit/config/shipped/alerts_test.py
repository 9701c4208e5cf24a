#!/usr/bin/env python3
"""Prometheus's and Alertmanager's files: their own programs accept them, every alert behaves, and they agree with the daemon."""

import re
import unittest

import yaml
from shipped import *

ALERTS = """ConntrackTableNearlyFull ConntrackTableFillPredicted ConntrackTableFull ConntrackInsertFailed SourceNearTableLimit
SourceNearConnectionLimit SourceMatchesDropRule SourceConnectionChurn SourceScanning DropRuleSpike ConntallyDegraded""".split()

# Which key of the configuration an alert's thresholds are.
CONFIGURED = {
    "ConntrackTableNearlyFull": "table_usage",
    "ConntrackTableFillPredicted": "table_full_within",
    "SourceNearTableLimit": "source_table_share",
    "SourceNearConnectionLimit": "source_limit_usage",
    "SourceMatchesDropRule": "source_drop_rate",
    "SourceConnectionChurn": "source_new_rate",
    "SourceScanning": "source_scan",
    "DropRuleSpike": "drop_rule_spike",
}


def seconds(text):
    """1.5, 30m -> the number, the seconds."""
    if isinstance(text, (int, float)):
        return float(text)
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h)", text).groups()
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


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

    def test_have_the_thresholds_of_the_default_configuration(self):
        defaults = yaml.safe_load((ROOT / "config/conntally.yaml").read_text())["alerts"]
        for rule in self.rules:
            if rule["alert"] not in CONFIGURED:
                continue
            default = defaults[CONFIGURED[rule["alert"]]]
            with self.subTest(alert=rule["alert"], severity=rule["labels"]["severity"]):
                self.assertEqual(rule["for"], default["for"])
                compared = [float(number) for number in re.findall(r"[<>] (\d[\d.]*)(?=\s|$)", rule["expr"])]
                self.assertIn(seconds(default[rule["labels"]["severity"]]), compared)

    def test_come_in_both_tiers_where_the_configuration_has_both(self):
        for name in CONFIGURED:
            tiers = sorted(rule["labels"]["severity"] for rule in self.rules if rule["alert"] == name)
            self.assertEqual(tiers, ["critical", "warning"], name)

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
                self.assertIn("keep_firing_for", rule)

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
