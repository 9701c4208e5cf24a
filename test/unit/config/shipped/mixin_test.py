#!/usr/bin/env python3
"""mixin.libsonnet renders what is shipped, and what its `_config` says otherwise reaches every place."""

import json
import tempfile
import unittest

import yaml
from shipped import *

MIXIN = ROOT / "config/mixin.libsonnet"
PARTS = ("prometheusAlerts", "prometheusRules", "grafanaDashboards")


def rendered(config=""):
    shown = ", ".join(f"{part}: mixin.{part}" for part in PARTS)
    return json.loads(tool("jsonnet", "-e", f"local mixin = (import '{MIXIN}') + {{ _config+:: {{ {config} }} }}; {{ {shown} }}"))


def shipped():
    alerts, rules = (yaml.safe_load((PROMETHEUS / name).read_text()) for name in ("alerts.yaml", "rules.yaml"))
    return dict(zip(PARTS, (alerts, rules, {file.name: json.loads(file.read_text()) for file in GRAFANA.glob("*.json")})))


class Mixin(unittest.TestCase):
    maxDiff = None

    def test_renders_what_is_shipped(self):
        self.assertEqual(rendered(), shipped())

    def test_takes_the_targets_and_the_runbook_from_its_config(self):
        asked = {'up{job="conntally"}': 'up{job=~"gateways|servers"}', RUNBOOK_URL: "https://wiki.example/conntally#"}
        text = json.dumps(shipped())
        for old, new in asked.items():
            self.assertIn(json.dumps(old)[1:-1], text)
            text = text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1])
        # The dashboards' link to the runbook's beginning.
        text = text.replace(RUNBOOK_URL.rstrip("#") + '"', 'https://wiki.example/conntally"')
        made = rendered("""conntallySelector: 'job=~"gateways|servers"', runbookUrl: 'https://wiki.example/conntally'""")
        self.assertEqual(made, json.loads(text))
        self.assertNotIn('job=\\"conntally', json.dumps(made), "no other place names the job")

    def test_takes_what_dashboards_are_found_by_and_show_first_from_its_config(self):
        made = rendered("dashboardTags: ['net', 'conntrack'], dashboardRefresh: '1m', dashboardPeriod: 'now-6h'")["grafanaDashboards"]
        for name, dashboard in shipped()["grafanaDashboards"].items():
            linked = [{**link, "tags": ["net"]} if link["type"] == "dashboards" else link for link in dashboard["links"]]
            dashboard.update(tags=["net", "conntrack"], refresh="1m", time={"from": "now-6h", "to": "now"}, links=linked)
            self.assertEqual(made[name], dashboard)

    def test_renders_yaml_that_prometheus_takes(self):
        for part in PARTS[:2]:
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(tool("jsonnet", "-S", "-e", f"std.manifestYamlDoc((import '{MIXIN}').{part})"))
                file.flush()
                self.assertIn("SUCCESS", tool("promtool", "check", "rules", file.name))


if __name__ == "__main__":
    unittest.main()
