"""The 17 rules of Grafana's dashboard-linter, by its names, and its file of exceptions, `.lint`. Where a rule of the linter leaves something
out, such as a type of panel, the one here does not."""

import functools
import re
import subprocess
import tempfile

import yaml

# Of Grafana's list, those that are in use. Who wants another looks it up there first (packages/grafana-data/src/valueFormats).
UNITS = {"short", "percentunit", "s", "bytes", "cps", "pps", "bool_yes_no"}
RULES = {}


def rule(name):
    def take(function):
        RULES[name] = function
        return function

    return take


def findings(dashboard):
    """{(rule, title of the dashboard, title of the panel or None): what is wrong}"""
    return {(name, dashboard["title"], panel): wrong for name, judge in RULES.items() for panel, wrong in judge(dashboard)}


def unexcepted(found, lint):
    """What no exception of `.lint` covers, and the exceptions that cover nothing."""
    entries = [(name, entry) for name, of_rule in lint["exclusions"].items() for entry in of_rule["entries"]]
    covered = [{key for key in found if key == (name, entry["dashboard"], entry["panel"])} for name, entry in entries]
    return {key: found[key] for key in set(found).difference(*covered)}, [entry for entry, keys in zip(entries, covered) if not keys]


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(dashboard):
    return [(panel["title"], target) for panel in panels(dashboard) for target in panel.get("targets", [])]


def variables(dashboard, kind):
    return [variable for variable in dashboard["templating"]["list"] if variable["type"] == kind]


@functools.lru_cache(maxsize=None)
def not_understood(expressions):
    """Those that promtool cannot parse, with $__rate_interval as Grafana would fill it in."""
    asked = [{"record": "test:test:test", "expr": text.replace("$__rate_interval", "1m"), "labels": {"n": str(n)}} for n, text in enumerate(expressions)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"groups": [{"name": "queries", "rules": asked}]}, file)
        file.flush()
        done = subprocess.run(["promtool", "check", "rules", file.name], text=True, capture_output=True, timeout=100)
    wrong = [expressions[int(number) - 1] for number in re.findall(r" rule (\d+), ", done.stdout + done.stderr)]
    assert wrong or f"{len(expressions)} rules found" in done.stdout, done.stdout + done.stderr
    return wrong


def selectors(expression):
    """[(metric, matchers, window, function directly around it)] of each; what it has none of is empty."""
    token = r'"(?:[^"\\]|\\.)*"|\{(?:"(?:[^"\\]|\\.)*"|[^}"])*\}|\[[^\]]*\]|\d[\w.]*|[a-zA-Z_:$][\w:]*|\S'
    words = re.findall(token, re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", r" \1 ", expression)) + [""]
    operators = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "Inf"}
    around, found = [], []
    for i, (word, following) in enumerate(zip(words, words[1:])):
        if word == "(":
            around.append(words[i - 1] if i else "")
        elif word == ")":
            around.pop()
        elif re.match(r"[a-zA-Z_:]", word) and word not in operators and following not in ("(", "by", "without"):
            rest = [*words[i + 1:], ""]
            matchers = rest.pop(0) if rest[0].startswith("{") else ""
            found.append((word, matchers, rest[0] if rest[0].startswith("[") else "", around[-1] if around else ""))
    return found


def wrong_datasource(asked):
    if asked.get("datasource") != {"type": "prometheus", "uid": "${datasource}"}:
        yield "does not ask the data source that is chosen"


@rule("template-datasource-rule")
def _(dashboard):
    if [(v["name"], v["label"], v["query"]) for v in variables(dashboard, "datasource")] != [("datasource", "Data source", "prometheus")]:
        yield None, "has not one variable `datasource`, labelled `Data source`"


def chosen(dashboard, name):
    found = [variable for variable in variables(dashboard, "query") if variable["name"] == name]
    if not found:
        yield None, f"has no variable {name} that is a query"
    for variable in found:
        for wrong in wrong_datasource(variable):
            yield None, f"variable {name} {wrong}"
        if (variable["label"], variable["multi"], variable.get("allValue")) != (name.capitalize(), True, ".+"):
            yield None, f"variable {name} is not labelled {name.capitalize()}, for several values, with .+ for all"


@rule("template-job-rule")
def _(dashboard):
    yield from chosen(dashboard, "job")


@rule("template-instance-rule")
def _(dashboard):
    yield from chosen(dashboard, "instance")


@rule("template-label-promql-rule")
def _(dashboard):
    for variable in variables(dashboard, "query"):
        parts = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
        if not parts or not_understood((parts[1],)):
            yield None, f"variable {variable['name']}: {variable['query']['query']}"


@rule("template-on-time-change-reload-rule")
def _(dashboard):
    for variable in variables(dashboard, "query"):
        if variable["refresh"] != 2:
            yield None, f"variable {variable['name']} is not read anew when the time changes"


@rule("panel-datasource-rule")
def _(dashboard):
    for panel in panels(dashboard):
        for asked in [panel, *panel.get("targets", [])]:
            for wrong in wrong_datasource(asked):
                yield panel["title"], wrong


@rule("panel-title-description-rule")
def _(dashboard):
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title"), "lacks a title or a description"


@rule("panel-units-rule")
def _(dashboard):
    for panel in panels(dashboard):
        own = [each["value"] for override in panel["fieldConfig"]["overrides"] for each in override["properties"] if each["id"] == "unit"]
        if not UNITS.issuperset([panel["fieldConfig"]["defaults"].get("unit"), *own]):
            yield panel["title"], "has no unit, or an unknown one"


@rule("panel-no-targets-rule")
def _(dashboard):
    for panel in panels(dashboard):
        if not panel.get("targets"):
            yield panel["title"], "asks nothing"


@rule("target-logql-rule")
def _(dashboard):
    # Nothing asks Loki; a query that did could not be judged here.
    for title, target in targets(dashboard):
        if target["datasource"]["type"] == "loki":
            yield title, "asks Loki, and nobody parses LogQL here"


@rule("target-logql-auto-rule")
def _(dashboard):
    for title, target in targets(dashboard):
        if target["datasource"]["type"] == "loki" and set(re.findall(r"\[([^\]]*)\]", target["expr"])) - {"$__auto"}:
            yield title, "has a window of its own, not $__auto"


@rule("target-promql-rule")
def _(dashboard):
    wrong = not_understood(tuple(target["expr"] for _, target in targets(dashboard)))
    for title, target in targets(dashboard):
        if target["expr"] in wrong:
            yield title, f"is not PromQL: {target['expr']}"


@rule("target-rate-interval-rule")
def _(dashboard):
    for title, target in targets(dashboard):
        for metric, _, window, _ in selectors(target["expr"]):
            if window not in ("", "[$__rate_interval]"):
                yield title, f"reads {metric} over {window}, not $__rate_interval"


def matched(dashboard, label):
    for title, target in targets(dashboard):
        for metric, matchers, _, _ in selectors(target["expr"]):
            if f'{label}=~"${label}"' not in matchers:
                yield title, f"reads {metric} of any {label}"


@rule("target-job-rule")
def _(dashboard):
    yield from matched(dashboard, "job")


@rule("target-instance-rule")
def _(dashboard):
    yield from matched(dashboard, "instance")


@rule("target-counter-agg-rule")
def _(dashboard):
    for title, target in targets(dashboard):
        for metric, _, window, function in selectors(target["expr"]):
            if metric.endswith("_total") and not (window and function in ("rate", "irate", "increase")):
                yield title, f"reads the counter {metric} as it stands"


@rule("uneditable-dashboard")
def _(dashboard):
    if dashboard.get("editable", True):
        yield None, "can be edited"
