"""A real Prometheus in a namespace, with the shipped configuration and rules."""

import json
import os
import re
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import ROOT
from server import Server

SHIPPED = ROOT / "config/prometheus"
# What takes 15 s to scrape, and minutes to fire, takes 1.25 s, and seconds.
HASTE = 12


def hastened(text):
    """The file with every duration a twelfth of what it says, and nothing else changed."""

    def shorter(found):
        milliseconds = int(found[1]) * {"s": 1_000, "m": 60_000, "h": 3_600_000}[found[2]]
        return f"{max(milliseconds // HASTE, 1)}ms"

    # Not the `2m` in the name of a recording rule.
    return re.sub(r"(?<![\w.])(\d+)(s|m|h)\b", shorter, text)


class Prometheus(Server):
    """`with Prometheus(namespace) as prometheus:` scrapes localhost:9105 and tells localhost:9093."""

    program = "prometheus"

    def __init__(self, namespace, configuration=SHIPPED / "prometheus.yml", arguments=(), port=9090, target="localhost:9105"):
        super().__init__(namespace, port)
        self.flags = arguments
        (self.home / "prometheus.yml").write_text(hastened(configuration.read_text()).replace("localhost:9105", target))
        for rules in ("rules.yaml", "alerts.yaml"):
            (self.home / rules).write_text(hastened((SHIPPED / rules).read_text()))

    def arguments(self):
        storage = "agent" if "--enable-feature=agent" in self.flags else "tsdb"
        return (f"--config.file={self.home}/prometheus.yml", f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
                f"--storage.{storage}.path={self.home}/data", *self.flags)

    def query(self, expression):
        """[({label: value}, number)]"""
        status, text = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert status == 200, f"{expression}: {text}"
        data = json.loads(text)["data"]
        assert data["resultType"] == "vector", f"{expression}: {data['resultType']}"
        return [(row["metric"], float(row["value"][1])) for row in data["result"]]

    def label_values(self, label, selector):
        status, text = self.get(f"/api/v1/label/{label}/values?" + urllib.parse.urlencode({"match[]": selector}))
        assert status == 200, text
        return json.loads(text)["data"]

    def firing(self, alert):
        """The labels of each firing alert of that name."""
        return [labels for labels, _ in self.query(f'ALERTS{{alertname="{alert}", alertstate="firing"}}')]

    def rule_errors(self):
        status, text = self.get("/api/v1/rules")
        assert status == 200, text
        rules = [rule for group in json.loads(text)["data"]["groups"] for rule in group["rules"]]
        assert rules
        return {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")}
