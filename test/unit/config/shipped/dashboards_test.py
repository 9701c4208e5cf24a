#!/usr/bin/env python3
"""The dashboards ask for metrics that there are, and lead to the runbook. dashboard_linter_test.py holds them to conventions."""

import json
import subprocess
import sys
import unittest

import yaml
from shipped import *

UIDS = {"conntally-host", "conntally-fleet"}


def panels_of(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


class Dashboards(unittest.TestCase):
    def setUp(self):
        self.files = {file.stem: file.read_text() for file in sorted(GRAFANA.glob("*.json"))}
        self.dashboards = {name: json.loads(text) for name, text in self.files.items()}

    def each_panel(self):
        for dashboard in self.dashboards.values():
            yield from panels_of(dashboard)

    def each_query(self):
        for panel in self.each_panel():
            for target in panel["targets"]:
                yield target["expr"]

    def test_are_what_their_source_writes(self):
        program = "import sys; sys.path.insert(0, sys.argv[1]); import dashboards; print(dashboards.host() + dashboards.fleet(), end='')"
        done = subprocess.run([sys.executable, "-B", "-c", program, str(GRAFANA)], text=True, capture_output=True, check=True)
        self.assertEqual(done.stdout, self.files["conntally-host"] + self.files["conntally-fleet"], "run config/grafana/dashboards.py")

    def test_are_found_by_stable_names(self):
        self.assertEqual(set(self.dashboards), UIDS)
        for name, dashboard in self.dashboards.items():
            self.assertEqual(dashboard["uid"], name)
            self.assertNotIn("id", dashboard)
            self.assertTrue(dashboard["title"] and dashboard["description"])

    def test_have_panels_that_stand_apart(self):
        for name, dashboard in self.dashboards.items():
            taken, ids = {}, [panel["id"] for panel in dashboard["panels"]]
            self.assertEqual(len(ids), len(set(ids)))
            for panel in dashboard["panels"]:
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24)
                for cell in [(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]:
                    self.assertNotIn(cell, taken, f"{name}: {panel['title']} stands upon {taken.get(cell)}")
                    taken[cell] = panel["title"]

    def test_ask_for_metrics_that_there_are(self):
        known = exposed_metrics() | OWN_METRICS | {
            rule["record"] for file in ("rules.yaml", KUBERNETES / "recording-rules.yaml") for rule in rules_of(file, "record")
        }
        for expression in self.each_query():
            self.assertTrue(metrics_in(expression))
            self.assertLessEqual(metrics_in(expression), known, expression)

    def test_lead_to_the_runbook_from_every_alerts_panel(self):
        anchors = headings((PROMETHEUS / "RUNBOOK.md").read_text())
        led_to = set()
        for panel in self.each_panel():
            for link in panel.get("links", []):
                self.assertTrue(link["url"].startswith(RUNBOOK_URL), link["url"])
                led_to.add(link["url"].removeprefix(RUNBOOK_URL))
        self.assertLessEqual(led_to, anchors)
        self.assertEqual(led_to, {rule["alert"].lower() for rule in rules_of("alerts.yaml", "alert")})

    def test_put_time_to_full_and_usage_first(self):
        first = [panel["title"] for panel in panels_of(self.dashboards["conntally-host"])[:2]]
        self.assertEqual(first, ["Time to full", "Table used"])


class Provisioning(unittest.TestCase):
    def test_names_a_prometheus_and_a_folder_of_dashboards(self):
        (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/conntally.yaml").read_text())["datasources"]
        self.assertEqual((source["type"], source["access"]), ("prometheus", "proxy"))
        scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"]["scrape_interval"]
        self.assertEqual(source["jsonData"]["timeInterval"], scraped)
        (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/conntally.yaml").read_text())["providers"]
        self.assertEqual((provider["type"], provider["allowUiUpdates"]), ("file", False))
        self.assertTrue(provider["options"]["path"])


if __name__ == "__main__":
    unittest.main()
