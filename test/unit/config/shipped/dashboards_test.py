#!/usr/bin/env python3
"""The dashboards keep to the conventions of good ones, ask for metrics that there are, and lead to the runbook."""

import json
import re
import subprocess
import sys
import tempfile
import unittest

import yaml
from shipped import *

UIDS = {"conntally-host", "conntally-fleet"}
VARIABLES = ["datasource", "job", "instance", "source"]


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

    def test_are_found_by_stable_names_and_read_only(self):
        self.assertEqual(set(self.dashboards), UIDS)
        for name, dashboard in self.dashboards.items():
            self.assertEqual(dashboard["uid"], name)
            self.assertIs(dashboard["editable"], False)
            self.assertNotIn("id", dashboard)
            self.assertTrue(dashboard["title"] and dashboard["description"])

    def test_have_the_variables(self):
        for dashboard in self.dashboards.values():
            variables = dashboard["templating"]["list"]
            self.assertEqual([variable["name"] for variable in variables], VARIABLES)
            self.assertEqual((variables[0]["type"], variables[0]["query"]), ("datasource", "prometheus"))
            for variable in variables[1:]:
                self.assertEqual(variable["datasource"]["uid"], "${datasource}")

    def test_have_panels_with_title_description_and_unit(self):
        for panel in self.each_panel():
            self.assertGreater(len(panel["title"]), 3, panel)
            self.assertGreater(len(panel["description"]), 8, panel["title"])
            self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], panel["title"])
            if panel["type"] == "table":
                units = [p for o in panel["fieldConfig"]["overrides"] for p in o["properties"] if p["id"] == "unit" and p["value"]]
                self.assertEqual(len(units), len(panel["targets"]), panel["title"])

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

    def test_ask_the_chosen_datasource(self):
        for panel in self.each_panel():
            for asked in [panel, *panel["targets"]]:
                self.assertEqual(asked["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])

    def test_ask_for_the_chosen_job_and_instance_everywhere(self):
        for name, dashboard in self.dashboards.items():
            for panel in panels_of(dashboard):
                for target in panel["targets"]:
                    for found in re.finditer(r"([a-zA-Z_:]\w*(?::[\w:]+)?)\{([^}]*)\}", target["expr"]):
                        with self.subTest(dashboard=name, panel=panel["title"], metric=found[1]):
                            self.assertRegex(found[2], r'job=~?"\$job"')
                            # What is recorded over all instances has none.
                            if not found[1].startswith("job"):
                                self.assertRegex(found[2], r'instance=~?"\$instance"')

    def test_let_grafana_choose_the_window_of_rates(self):
        for expression in self.each_query():
            for window in re.findall(r"\[([^\]]*)\]", expression):
                self.assertEqual(window, "$__rate_interval", expression)

    def test_ask_for_metrics_that_there_are(self):
        known = exposed_metrics() | OWN_METRICS | {rule["record"] for rule in rules_of("rules.yaml", "record")}
        for expression in self.each_query():
            self.assertTrue(metrics_in(expression))
            self.assertLessEqual(metrics_in(expression), known, expression)

    def test_ask_what_prometheus_understands(self):
        asked = [expression.replace("$__rate_interval", "1m") for expression in self.each_query()]
        rules = [{"record": f"test:test:query{number}", "expr": expression} for number, expression in enumerate(asked)]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}, file)
            file.flush()
            self.assertIn(f"{len(asked)} rules found", tool("promtool", "check", "rules", file.name))

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
