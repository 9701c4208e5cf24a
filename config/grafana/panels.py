"""What Grafana wants around a panel's query: see dashboards.py."""

import json

CHOSEN = '{job=~"$job", instance=~"$instance"}'
RUNBOOK = "https://github.com/conntally/conntally/blob/main/config/prometheus/RUNBOOK.md#"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
HEIGHT = {"row": 1, "stat": 4, "gauge": 4, "timeseries": 8, "table": 9}


def query(expression, legend=""):
    return {"expr": expression, "legendFormat": legend}


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "width": COLUMNS}


def stat(title, description, unit, width, asked, steps=(("text", None),), alert=None):
    panel = _panel("stat", title, description, unit, width, [{**asked, "instant": True}], alert)
    panel["fieldConfig"]["defaults"]["thresholds"] = _thresholds(steps)
    panel["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "none", "colorMode": "value"}
    return panel


def gauge(title, description, unit, width, asked, steps, alert=None):
    panel = _panel("gauge", title, description, unit, width, [{**asked, "instant": True}], alert)
    panel["fieldConfig"]["defaults"].update(min=0, max=1, thresholds=_thresholds(steps))
    panel["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    return panel


def series(title, description, unit, width, *asked, stacked=False, alert=None):
    panel = _panel("timeseries", title, description, unit, width, list(asked), alert)
    custom = {"fillOpacity": 30 if stacked else 5, "showPoints": "never", "stacking": {"mode": "normal" if stacked else "none"}}
    panel["fieldConfig"]["defaults"].update(min=0, custom=custom)
    panel["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def table(title, description, width, columns, labels, sort_by, alert=None, drill_down=False):
    """`columns` are {heading: (query, unit)}, one row for each combination of `labels`."""
    asked = [{**each, "instant": True, "format": "table"} for each, _ in columns.values()]
    first_unit = next(iter(columns.values()))[1]
    panel = _panel("table", title, description, first_unit, width, asked, alert)
    values = ["Value"] if len(columns) == 1 else [f"Value #{target['refId']}" for target in panel["targets"]]
    headings = dict(zip(values, columns))
    panel["transformations"] = [
        # Before merging: the queries' other labels would keep their rows apart.
        {"id": "filterFieldsByName", "options": {"include": {"names": [*labels, *headings]}}},
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"renameByName": headings, "indexByName": {name: i for i, name in enumerate([*labels, *headings])}}},
    ]
    panel["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": heading}, "properties": [{"id": "unit", "value": unit}]} for heading, (_, unit) in columns.items()
    ]
    if drill_down:
        link = {"title": "This host", "url": "/d/conntally-host?var-job=${__data.fields.job}&var-instance=${__data.fields.instance}&${datasource:queryparam}"}
        panel["fieldConfig"]["overrides"].append({"matcher": {"id": "byName", "options": "instance"}, "properties": [{"id": "links", "value": [link]}]})
    panel["options"] = {"showHeader": True, "sortBy": [{"displayName": sort_by, "desc": True}]}
    return panel


def dashboard(uid, title, description, panels, of_all=False):
    """`of_all`: shows all hosts until some are chosen; else the first one."""
    _place(panels)
    whole = {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["conntally", "conntrack"],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "links": [
            {"type": "dashboards", "title": "conntally", "tags": ["conntally"], "asDropdown": False, "includeVars": True, "keepTime": True},
            {"type": "link", "title": "Runbook", "url": RUNBOOK.rstrip("#"), "icon": "doc", "targetBlank": True},
        ],
        "templating": {"list": _variables(of_all)},
        "annotations": {"list": []},
        "panels": panels,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _panel(kind, title, description, unit, width, asked, alert):
    panel = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [{"refId": chr(ord("A") + i), "datasource": DATASOURCE, **each} for i, each in enumerate(asked)],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "width": width,
    }
    if alert:
        panel["links"] = [{"title": f"Runbook: {alert}", "url": RUNBOOK + alert.lower(), "targetBlank": True}]
    return panel


def _thresholds(steps):
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]}


def _place(panels):
    """From left to right, then further down."""
    x = y = tallest = 0
    for number, panel in enumerate(panels, start=1):
        width, height = panel.pop("width"), HEIGHT[panel["type"]]
        if x + width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        panel.update(id=number, gridPos={"x": x, "y": y, "w": width, "h": height})
        x, tallest = x + width, max(tallest, height)


def _variables(of_all):
    def variable(name, asked, with_all):
        made = {
            "name": name, "label": name.capitalize(), "type": "query", "datasource": DATASOURCE, "definition": asked,
            "query": {"query": asked, "refId": name}, "refresh": 2, "sort": 7, "multi": True, "includeAll": with_all, "allValue": ".+", "hide": 0,
        }
        return {**made, "current": {"text": "All", "value": "$__all"}} if with_all else made

    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0},
        variable("job", "label_values(conntally_up, job)", of_all),
        variable("instance", 'label_values(conntally_up{job=~"$job"}, instance)', of_all),
        variable("source", f"label_values(conntally_source_connections{CHOSEN}, source)", True),
    ]
