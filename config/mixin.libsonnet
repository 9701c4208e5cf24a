// The alerts, recording rules and dashboards beside this file, as a mixin:
//   jb install github.com/conntally/conntally/config
//   (import 'github.com/conntally/conntally/config/mixin.libsonnet') + { _config+:: { conntallySelector: 'job="gateways"' } }
// Unchanged, it renders the shipped files; `_config` has what can be changed.
//
// Debian 12's std.parseYaml reads no value with a line break in it: the YAML files have no literal block (`|`).
local host = import 'grafana/conntally-host.json';
local runbook = 'https://github.com/conntally/conntally/blob/main/config/prometheus/RUNBOOK.md';

// A value with each `from` in its strings replaced by `to`.
local replaced(value, from, to) =
  if std.isString(value) then std.strReplace(value, from, to)
  else if std.isArray(value) then [replaced(element, from, to) for element in value]
  else if std.isObject(value) then { [key]: replaced(value[key], from, to) for key in std.objectFields(value) }
  else value;

{
  _config+:: {
    // Selects conntally's targets: ConntallyDegraded fires if one does not answer.
    conntallySelector: 'job="conntally"',
    // URL of RUNBOOK.md. A `#` and the alert's name follow.
    runbookUrl: runbook,
    // The dashboards link each other by the first one.
    dashboardTags: host.tags,
    dashboardRefresh: host.refresh,
    dashboardPeriod: host.time.from,
  },

  local config = self._config,
  local rules(text) =
    replaced(replaced(std.parseYaml(text).groups, 'up{job="conntally"}', 'up{%s}' % config.conntallySelector), runbook, config.runbookUrl),
  local dashboard(shipped) = replaced(shipped, runbook, config.runbookUrl) + {
    tags: config.dashboardTags,
    refresh: config.dashboardRefresh,
    time+: { from: config.dashboardPeriod },
    links: [if link.type == 'dashboards' then link { tags: [config.dashboardTags[0]] } else link for link in super.links],
  },

  prometheusAlerts+:: { groups+: rules(importstr 'prometheus/alerts.yaml') },
  prometheusRules+:: { groups+: rules(importstr 'prometheus/rules.yaml') },
  grafanaDashboards+:: {
    'conntally-host.json': dashboard(host),
    'conntally-fleet.json': dashboard(import 'grafana/conntally-fleet.json'),
  },
}
