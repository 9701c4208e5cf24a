"""A real Prometheus in a namespace, with the shipped configuration and rules."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import ROOT, SLOWNESS, Skip, wait_until

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


def needed(program):
    if not (found := shutil.which(program)):
        raise Skip(f"needs {program}: quickstart unpacks it")
    return found


class Prometheus:
    """`with Prometheus(namespace) as prometheus:` scrapes localhost:9105 and tells localhost:9093."""

    def __init__(self, namespace, configuration=SHIPPED / "prometheus.yml", arguments=(), port=9090, target="localhost:9105"):
        self.program = needed("prometheus")
        self.namespace, self.port, self.arguments = namespace, port, arguments
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-test-")
        self.home = pathlib.Path(self.folder.name)
        (self.home / "prometheus.yml").write_text(hastened(configuration.read_text()).replace("localhost:9105", target))
        for rules in ("rules.yaml", "alerts.yaml"):
            (self.home / rules).write_text(hastened((SHIPPED / rules).read_text()))

    def __enter__(self):
        with open(self.home / "log", "w") as log:
            self.process = self.namespace.spawn(
                self.program, f"--config.file={self.home}/prometheus.yml", f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
                f"--storage.{'agent' if '--enable-feature=agent' in self.arguments else 'tsdb'}.path={self.home}/data", *self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        wait_until(self._ready, 30, "Prometheus is ready", every=0.1)
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20 * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if kind:
            print(f"--- log of Prometheus\n{self.log}")
        self.folder.cleanup()

    @property
    def log(self):
        return (self.home / "log").read_text(errors="replace")

    def _ready(self):
        assert self.process.poll() is None, f"Prometheus ended:\n{self.log}"
        try:
            return self.get("/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path, timeout=10.0):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection.sock = self.namespace.connect("127.0.0.1", self.port, timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

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
