#!/usr/bin/env python3
"""Grafana's dashboard-linter would find nothing in the dashboards but what `.lint` gives a reason for."""

import copy
import json
import unittest

import yaml
from dashboard_linter import RULES, findings, selectors, unexcepted
from shipped import *

# What each rule must find, made from a dashboard with no fault: a change to its first panel, to that panel's target, to the variable of this
# place, or to the dashboard itself.
FAULTS = {
    "template-datasource-rule": [(0, {"label": "datasource"}), (0, {"name": "prometheus"})],
    "template-job-rule": [(1, {"multi": False}), (1, {"allValue": ".*"}), (1, {"label": "job"}), (1, {"type": "custom"}), (1, {"datasource": "mine"})],
    "template-instance-rule": [(2, {"multi": False}), (2, {"allValue": ".*"}), (2, {"label": "host"}), (2, {"name": "node"})],
    "template-label-promql-rule": [(1, {"query": {"query": "label_value(conntally_up, job)"}}), (2, {"query": {"query": "label_values(up{, instance)"}})],
    "template-on-time-change-reload-rule": [(2, {"refresh": 1})],
    "panel-datasource-rule": [("panel", {"datasource": {"type": "prometheus", "uid": "mine"}}), ("target", {"datasource": {"type": "prometheus"}})],
    "panel-title-description-rule": [("panel", {"description": ""}), ("panel", {"title": ""})],
    "panel-units-rule": [("panel", {"fieldConfig": {"defaults": {}, "overrides": []}}), ("panel", {"fieldConfig": {"defaults": {"unit": "connections"}, "overrides": []}})],
    "panel-no-targets-rule": [("panel", {"targets": []})],
    "target-logql-rule": [("target", {"datasource": {"type": "loki", "uid": "${datasource}"}})],
    "target-logql-auto-rule": [("target", {"datasource": {"type": "loki"}, "expr": 'rate({job=~"$job", instance=~"$instance"}[5m])'})],
    "target-promql-rule": [("target", {"expr": 'sum(up{job=~"$job", instance=~"$instance"}'})],
    "target-rate-interval-rule": [("target", {"expr": 'rate(a_total{job=~"$job", instance=~"$instance"}[5m])'})],
    "target-job-rule": [("target", {"expr": 'sum by (job) (up{instance=~"$instance"})'}), ("target", {"expr": 'up{job="$job", instance=~"$instance"}'})],
    "target-instance-rule": [("target", {"expr": 'up{job=~"$job"}'}), ("target", {"expr": 'up{job=~"$job", instance=~"$instance"} or on () ALERTS{job=~"$job"}'})],
    "target-counter-agg-rule": [("target", {"expr": 'sum(a_total{job=~"$job", instance=~"$instance"})'})],
    "uneditable-dashboard": [("dashboard", {"editable": True})],
}


class Linter(unittest.TestCase):
    def setUp(self):
        self.lint = yaml.safe_load((GRAFANA / ".lint").read_text())
        self.dashboards = [json.loads(file.read_text()) for file in sorted(GRAFANA.glob("*.json"))]
        self.faultless, = [dashboard for dashboard in self.dashboards if dashboard["uid"] == "conntally-host"]

    def test_finds_nothing_without_a_reason_and_every_exception_is_needed(self):
        found = {}
        for dashboard in self.dashboards:
            found |= findings(dashboard)
        self.assertEqual(unexcepted(found, self.lint), ({}, []))

    def test_is_given_a_reason_for_each_exception(self):
        self.assertEqual(set(self.lint), {"exclusions"})
        for name, excluded in self.lint["exclusions"].items():
            self.assertIn(name, RULES)
            self.assertGreater(len(excluded["reason"]), 20)
            self.assertTrue(excluded["entries"], "without entries all would be excepted")

    def test_says_which_exception_is_no_longer_needed(self):
        lint = {"exclusions": {"target-job-rule": {"entries": [{"dashboard": "a", "panel": "b"}, {"dashboard": "a", "panel": "c"}]}}}
        found = {("target-job-rule", "a", "b"): "", ("target-job-rule", "x", "c"): ""}
        self.assertEqual(unexcepted(found, lint), ({("target-job-rule", "x", "c"): ""}, [("target-job-rule", {"dashboard": "a", "panel": "c"})]))

    def test_finds_each_fault_by_its_rule(self):
        self.assertEqual((len(RULES), set(RULES)), (17, set(FAULTS)))
        self.assertEqual(findings(self.faultless), {})
        for name, faults in FAULTS.items():
            for place, change in faults:
                with self.subTest(rule=name, change=change):
                    broken = copy.deepcopy(self.faultless)
                    panel = next(panel for panel in broken["panels"] if panel["type"] != "row")
                    changed = {"dashboard": broken, "panel": panel, "target": panel["targets"][0]}
                    (broken["templating"]["list"][place] if isinstance(place, int) else changed[place]).update(change)
                    self.assertIn(name, {found for found, _, _ in findings(broken)})

    def test_reads_selectors_out_of_expressions(self):
        expression = 'sum by (le) (rate(a_total{verdict=~"}|b"}[2m])) / on (job) group_left () (c > 0.5) or time() - x:y:z offset 5m'
        self.assertEqual(selectors(expression), [("a_total", '{verdict=~"}|b"}', "[2m]", "rate"), ("c", "", "", "group_left"), ("x:y:z", "", "", "")])


if __name__ == "__main__":
    unittest.main()
