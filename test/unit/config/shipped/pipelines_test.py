#!/usr/bin/env python3
"""What carries metrics and log elsewhere scrapes as prometheus.yml does, and asks for fields that the log has."""

import re
import tempfile
import unittest

import yaml
from shipped import *

LOGS = ROOT / "config/logs"
# The log's fields as the code names them: {in the journal: in JSON}
FIELDS = dict(re.findall(r'\{"([A-Z]+)", "([a-z]+)", &LogFields::', (ROOT / "daemon/log/log_line.cpp").read_text()))


def load(name):
    return yaml.safe_load((PROMETHEUS / name).read_text())


class Metrics(unittest.TestCase):
    def setUp(self):
        self.collector = load("otel-collector.yml")
        self.scraped = {name: load(name) for name in ("prometheus.yml", "agent.yml", "vmagent.yml")}
        self.scraped["otel-collector.yml"] = self.collector["receivers"]["prometheus"]["config"]

    def test_are_scraped_alike(self):
        jobs = {}
        for name, config in self.scraped.items():
            job, = config["scrape_configs"]
            whole = {**{key: value for key, value in config.get("global", {}).items() if key.startswith("scrape")}, **job}
            # What vmagent 1.79 of Debian 12 does not know.
            whole.pop("label_limit", None)
            jobs[name] = whole
        for name, job in jobs.items():
            self.assertEqual(job, jobs["prometheus.yml"], name)

    def test_are_scraped_by_configurations_that_prometheus_would_take(self):
        for name in ("vmagent.yml", "otel-collector.yml"):
            with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
                yaml.safe_dump(self.scraped[name], file)
                file.flush()
                tool("promtool", "check", "config", file.name)

    def test_pass_through_parts_of_the_collector_that_there_are_and_all_of_them(self):
        for kind in ("receivers", "processors", "exporters"):
            used = [name for pipeline in self.collector["service"]["pipelines"].values() for name in pipeline[kind]]
            self.assertEqual(sorted(used), sorted(self.collector[kind]))


class Logs(unittest.TestCase):
    def test_have_fields(self):
        self.assertEqual(FIELDS, {"SOURCE": "source", "RULE": "rule", "ALERT": "alert", "COLLECTOR": "collector"})

    def test_reach_loki_with_each_field_of_the_journal(self):
        text = (LOGS / "loki.alloy").read_text()
        asked = set(re.findall(r'"__journal_(\w+)"', text))
        self.assertEqual(asked - {"_hostname", "priority_keyword"}, {name.lower() for name in FIELDS})
        self.assertIn('"_SYSTEMD_UNIT=conntally.service"', text)
        components = {f"{kind}.{label}" for kind, label in re.findall(r'^([\w.]+) "(\w+)" \{$', text, re.M)}
        led_to = set(re.findall(r"(loki\.\w+\.\w+)\.(?:receiver|rules)\b", text))
        self.assertEqual(components, led_to | {"loki.source.journal.conntally"})
        # Many values: no labels, or Loki has a stream for each.
        kept, dropped = (set(re.findall(r"\w+", found)) for found in re.search(r'values = \{(.*)\}[^[]*values = \[(.*)\]', text).groups())
        self.assertEqual((kept, dropped), ({"source", "rule"}, {"source", "rule"}))

    def test_reach_a_siem_with_each_field_of_the_json(self):
        asked = set(re.findall(r"\$!(\w+)", (LOGS / "rsyslog-siem.conf").read_text()))
        self.assertEqual(asked, {"time", "level", "message", *FIELDS.values()})


if __name__ == "__main__":
    unittest.main()
