"""What the tests of the shipped files share: where they are, and which metrics there are."""

import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[4]
PROMETHEUS = ROOT / "config/prometheus"
ALERTMANAGER = ROOT / "config/alertmanager/alertmanager.yml"
KUBERNETES = ROOT / "config/kubernetes"
GRAFANA = ROOT / "config/grafana"
RUNBOOK_URL = "https://github.com/conntally/conntally/blob/main/config/prometheus/RUNBOOK.md#"
# What Prometheus itself makes.
OWN_METRICS = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}


def tool(*command):
    """What the program printed; a missing program is a failure as any other."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=100)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def rules_of(file, kind):
    """Of a file beside prometheus.yml, or one by its whole path."""
    groups = yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def exposed_metrics():
    """The table of METRICS.md, which a test holds to the code."""
    rows = "\n".join(line for line in (PROMETHEUS / "METRICS.md").read_text().splitlines() if line.startswith("|"))
    names = set(re.findall(r"`((?:conntally|process)_[a-z_]+)`", rows))
    histogram = "conntally_connection_duration_seconds"
    return names | {f"{histogram}_{part}" for part in ("bucket", "sum", "count")}


def metrics_in(expression):
    """Names of metrics that the expression reads: words before `{`, `[` or an end that aren't functions or labels."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}", "{}", bare)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    words = set(re.findall(r"(?<![\w:$])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])", bare))
    return words - {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "Inf", "inf"} - set(
        re.findall(r"\[[^\]]*?([a-z]+)[^\]]*\]", bare)
    )


def headings(markdown):
    """Anchors as GitHub makes them of headings."""
    found = re.findall(r"^#+ (.+)$", markdown, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}
