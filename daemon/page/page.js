// The page: asks the daemon every few seconds and writes what it tells into the document.

const everyMs = 2000, historyEveryMs = 10000, timeoutMs = 5000, alertsShown = 5;
const view = { sort: "connections", filter: "", answeredAt: 0, historyAt: 0, started: "", ports: new Map(), timer: 0, round: 0 };
const stateColours = new Map([["established", 1], ["syn_sent", 0], ["syn_recv", 0], ["syn_sent2", 0], ["replied", 3], ["unreplied", 4]]);

class Refusal extends Error {}

async function ask(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(timeoutMs) });
  if (response.status === 400) throw new Refusal((await response.json()).error);
  if (!response.ok) throw Object.assign(new Error(`${path}: ${response.status}`), { status: response.status });
  return response.json();
}

function showTable(status) {
  const table = status.table;
  if (!table) {
    setText(byId("fill"), "–");
    setText(byId("entries"), "the kernel does not report it");
    setText(byId("until"), "");
    return;
  }
  const fill = table.limit ? table.entries / table.limit : 0;
  setText(byId("fill"), percent(fill));
  setText(byId("entries"), `${count(table.entries)} of ${count(table.limit)}`);
  const soon = table.seconds_until_full;
  setText(byId("until"), soon === null ? "not growing" : `full in ${span(soon)}`);
  setClass(byId("until"), soon !== null && soon < 1800 ? (soon < 300 ? "bad" : "warning") : "");
  setClass(byId("gauge"), levelOf(fill, 0.75, 0.9));
  byId("gauge").style.width = `${Math.min(100, fill * 100)}%`;
  const lost = table.drops + table.early_drops + table.insert_failed;
  setText(byId("losses"), `kernel: ${count(table.drops)} dropped (table full), ${count(table.early_drops)} evicted early, ${count(table.insert_failed)} insertions failed`);
  setClass(byId("losses"), lost > 0 ? "warning" : "");
}

// Of the ports of translated addresses, the fullest use.
function showNat(nat) {
  byId("nat").hidden = !nat;
  if (!nat) return;
  const share = (nat.used - nat.closed) / nat.available;
  const port = nat.destination_port ? ` port ${nat.destination_port}` : "";
  setText(byId("nat"), `NAT: ${percent(share)} of ${count(nat.available)} ports of ${nat.nat_address} to ${nat.destination}${port} (${nat.protocol}) in use`);
  setClass(byId("nat"), levelOf(share, 0.8, 0.95));
}

function showRates(status) {
  const rates = status.per_second;
  const kernel = rates.table_drops + rates.table_early_drops;
  setText(byId("opened"), short(rates.opened));
  setText(byId("closed"), short(rates.closed));
  setText(byId("dropped"), short(rates.dropped_packets));
  setText(byId("kernel-losses"), short(kernel));
  setClass(byId("kernel-losses"), kernel > 0 ? "bad" : "");
  setText(byId("connections"), count(status.connections));
  setText(byId("sources-count"), count(status.sources));
}

function showStates(status) {
  const all = Math.max(status.connections, 1);
  const share = status.unreplied / all;
  setText(byId("unreplied"), percent(share));
  setClass(byId("unreplied"), share >= 0.5 ? "warning" : "");
  const colour = (state) => `k${stateColours.get(state.state) ?? (state.protocol === "tcp" ? 2 : 5)}`;
  const states = [...status.states].sort((a, b) => b.connections - a.connections).slice(0, 10);
  const keyOf = (state) => `${state.protocol} ${state.state}`;
  keepInStep(byId("mix"), states, keyOf, (state) => make("div", colour(state)), (element, state) => {
    element.style.width = `${state.connections / all * 100}%`;
  });
  keepInStep(byId("states"), states, keyOf, (state) => {
    const item = make("li");
    item.append(make("i", colour(state)), make("span", "", keyOf(state)), make("b"));
    return item;
  }, (item, state) => setText(item.lastElementChild, count(state.connections)));
}

function showTrust(status) {
  const losses = status.losses, corrections = losses.reconcile_corrections;
  const turnedAway = Object.entries(losses.overflow).filter(([, number]) => number > 0).map(([what, number]) => `${what} ${count(number)}`);
  const ago = status.last_reconcile ? (Date.parse(status.now) - Date.parse(status.last_reconcile)) / 1000 : null;
  setText(byId("trust-line"), `${status.verdict} ${count(losses.netlink_overruns)} events lost` +
    (ago === null ? "." : `; compared ${span(ago)} ago, ${count(corrections.missed)} missed and ${count(corrections.stale)} stale put right in all.`) +
    (turnedAway.length ? ` Beyond bounds: ${turnedAway.join(", ")}.` : ""));
  setClass(byId("trust-line"), !status.ready || !status.synced ? "bad" : losses.netlink_overruns > 0 ? "warning" : "");
  keepInStep(byId("collectors"), Object.entries(status.collectors), ([name]) => name, () => make("li"), (item, [name, collector]) => {
    setText(item, `${name}: ${collector.success ? "works" : collector.off ? `off: ${collector.off}` : `FAILS: ${collector.failure}`}`);
    setClass(item, collector.success || collector.off ? "quiet" : "bad");
  });
}

function showRules(status) {
  byId("no-rules").hidden = status.drop_rules.length > 0;
  byId("rule-table").hidden = status.drop_rules.length === 0;
  keepInStep(byId("rule-rows"), status.drop_rules, (rule) => `${rule.backend} ${rule.family} ${rule.table} ${rule.chain} ${rule.handle} ${rule.rule}`,
    () => makeRow(["number", "number", "", "rule", "quiet"]),
    (row, rule) => fillRow(row, [short(rule.packets_per_second), count(rule.packets), rule.verdict, rule.rule,
                                 `${rule.backend} ${rule.family} ${rule.table} ${rule.chain}`]));
}

function showAlerts(alerts) {
  const fact = (alert) => alert.severity === "info";
  const rank = (alert) => (fact(alert) ? 4 : 0) + (alert.state === "firing" ? 0 : 2) + (alert.severity === "critical" ? 0 : 1);
  const active = alerts.filter((alert) => alert.state === "firing" || alert.state === "pending").sort((a, b) => rank(a) - rank(b));
  const shown = active.slice(0, alertsShown);
  byId("alerts").hidden = shown.length === 0;
  // A fact alarms nobody: it is counted apart.
  const inState = (state) => active.filter((alert) => alert.state === state && !fact(alert)).length;
  const facts = active.filter((alert) => alert.state === "firing" && fact(alert)).length;
  setText(byId("alerts-title"), `Alerts: ${inState("firing")} firing, ${inState("pending")} pending${facts ? `; ${facts} for information` : ""}`);
  byId("more-alerts").hidden = active.length === shown.length;
  setText(byId("more-alerts"), `and ${active.length - shown.length} more, at api/v1/alerts`);
  const keyOf = (alert) => `${alert.alert} ${alert.severity} ${alert.source || ""} ${alert.rule || ""}`;
  keepInStep(byId("alert-list"), shown, keyOf, () => {
    const item = make("li");
    item.append(make("strong"), make("div"), make("div", "quiet"));
    return item;
  }, (item, alert) => {
    setClass(item, alert.state === "pending" || fact(alert) ? "pending" : alert.severity === "critical" ? "bad" : "");
    setText(item.children[0], `${alert.alert}${alert.source ? ` ${alert.source}` : ""} (${alert.severity}, ${alert.state})`);
    setText(item.children[1], alert.summary || "");
    setText(item.children[2], `${alert.description || ""}${alert.degraded ? " Its data is not complete." : ""}${alert.since ? ` Since ${alert.since}.` : ""}`);
  });
}

function makeSourceRow(source) {
  const row = makeRow(["", "number", "number", "", "number", "number", "", "number", "rule"]);
  const open = make("button", "", source.source);
  open.type = "button";
  row.cells[0].append(open);
  row.addEventListener("click", () => openDetail(source.source));
  return row;
}

function showSources(answer, all) {
  setText(byId("sources-shown"), answer.total > answer.sources.length ? `${count(answer.sources.length)} of ${count(answer.total)}` : `${count(answer.total)}`);
  keepInStep(byId("source-rows"), answer.sources, (source) => source.source, makeSourceRow, (row, source) => {
    const limit = [...source.limits].sort((a, b) => b.usage - a.usage)[0];
    const drops = [...source.drops].sort((a, b) => b.packets - a.packets);
    const packets = drops.reduce((sum, drop) => sum + drop.packets, 0);
    const texts = [count(source.connections), percent(source.connections / Math.max(all, 1)),
                   limit ? `${percent(limit.usage)} of ${count(limit.connections)}` : "–", short(source.new_rate),
                   source.connections ? percent(source.unreplied / source.connections) : "–", view.ports.get(source.source) || "–",
                   packets ? `${count(packets)} (${short(source.drop_rate)}/s)` : "0", drops.length ? drops[0].rule || "rule unknown" : ""];
    texts.forEach((text, index) => setText(row.cells[index + 1], text));
    setClass(row, source.connections === 0 && packets === 0 ? "idle" : "");
    setClass(row.cells[3], limit ? levelOf(limit.usage, 0.8, 0.95) : "");
    setClass(row.cells[7], source.drop_rate >= 1 ? "number warning" : "number");
  });
}

async function refreshPorts(sources) {
  const names = sources.filter((source) => source.connections > 0).slice(0, 60).map((source) => source.source);
  if (names.length === 0) return;
  const surveys = await ask(`api/v1/sources/detail?rows=0&source=${names.map(encodeURIComponent).join(",")}`);
  view.ports = new Map(surveys.sources.filter((survey) => survey.top_port).map(({ source, top_port: port }) =>
    [source, port.destination_port ? `${port.protocol}/${port.destination_port}` : port.protocol]));
}

// As they were addressed, before any translation.
async function refreshDestinations(all) {
  const { destinations } = await ask("api/v1/destinations?limit=10");
  byId("no-destinations").hidden = destinations.length > 0;
  byId("destination-table").hidden = destinations.length === 0;
  keepInStep(byId("destination-rows"), destinations, (to) => `${to.destination} ${to.protocol} ${to.port}`,
    () => makeRow(["", "", "number", "number", "number", "number", "rule"]),
    (row, to) => fillRow(row, [to.destination, to.port ? `${to.protocol}/${to.port}` : to.protocol, count(to.connections),
                               percent(to.connections / Math.max(all, 1)), short(to.new_rate), percent(to.unreplied / to.connections),
                               to.sources.slice(0, 3).map((source) => `${source.source} (${count(source.connections)})`).join(", ")]));
}

async function refreshHistory() {
  if (Date.now() - view.historyAt < historyEveryMs) return;
  const history = await ask("api/v1/history");
  view.historyAt = Date.now();
  drawChart(byId("chart-entries"), history.times, [{ name: "entries", values: history.entries }], "entries");
  drawChart(byId("chart-rates"), history.times,
    [{ name: "opened", values: history.opened_per_second }, { name: "closed", values: history.closed_per_second }], "per second");
  drawChart(byId("chart-dropped"), history.times, [
    { name: "by rules", values: history.dropped_packets_per_second },
    { name: "evicted", values: history.table_early_drops_per_second },
    { name: "no room", values: history.table_drops_per_second }], "per second");
}

async function refreshSources(all) {
  const { sort, filter } = view;
  const overtaken = () => sort !== view.sort || filter !== view.filter;
  const query = filter ? `&source=${encodeURIComponent(filter)}` : "";
  try {
    const answer = await ask(`api/v1/sources?limit=50&sort=${sort}${query}`);
    if (overtaken()) return;
    setText(byId("filter-trouble"), "");
    showSources(answer, all);
    await refreshPorts(answer.sources);
    if (overtaken()) return;
    showSources(answer, all);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    if (overtaken()) return;
    setText(byId("filter-trouble"), refusal.message);
  }
}

// A daemon without alerts is not one that does not answer.
async function refreshAlerts() {
  try {
    showAlerts((await ask("api/v1/alerts")).alerts);
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

async function refresh() {
  const status = await ask("api/v1/status");
  if (view.started && view.started !== status.started) view.historyAt = 0;  // another process: its hour begins anew
  view.started = status.started;
  view.clock = status.now;
  view.synced = status.synced;
  setText(byId("host"), status.host);
  document.title = status.host ? `${status.host} – conntally` : "conntally";
  showTable(status);
  showNat(status.nat);
  showRates(status);
  showStates(status);
  showTrust(status);
  showRules(status);
  await refreshSources(status.connections);
  await refreshDestinations(status.connections);
  await refreshHistory();
  await refreshAlerts();
  await refreshDetail(status.connections);
}

async function round() {
  const number = ++view.round;
  clearTimeout(view.timer);
  try {
    await refresh();
    view.answeredAt = Date.now();
    view.failing = "";
  } catch (error) {
    view.failing = error.message || String(error);
  }
  showLiveness();
  if (number === view.round) view.timer = setTimeout(round, byId("detail").open && detail.pending ? 500 : everyMs);
}

function refreshSoon() {
  clearTimeout(view.timer);
  view.timer = setTimeout(round, 0);
}

// What is shown may be old: say how old.
function showLiveness() {
  const age = (Date.now() - view.answeredAt) / 1000;
  const gone = Boolean(view.failing) || (view.answeredAt > 0 && age > 15);
  byId("trouble").hidden = !gone;
  if (gone) {
    setText(byId("trouble"), view.answeredAt
      ? `The daemon does not answer: these figures are ${span(age)} old. Asking again.`
      : "The daemon does not answer. Asking again.");
  }
  setText(byId("liveness"), gone ? "no answer" : !view.answeredAt ? "asking" : view.synced ? `live, ${view.clock.slice(11, 19)} UTC` : "live, but the tallies are stale");
  setClass(byId("liveness"), `pill ${gone ? "bad" : view.answeredAt && view.synced ? "good" : "warning"}`);
}

// A CIDR as people type it: IPv4 host bits are cleared, since the daemon takes no contradiction.
function filterOf(text) {
  const found = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(text.trim());
  if (!found || Number(found[5]) > 32) return text.trim();
  const length = Number(found[5]);
  const address = found.slice(1, 5).reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const kept = length === 0 ? 0 : Math.floor(address / 2 ** (32 - length)) * 2 ** (32 - length);
  return [24, 16, 8, 0].map((shift) => Math.floor(kept / 2 ** shift) % 256).join(".") + `/${length}`;
}

byId("source-table").tHead.addEventListener("click", (event) => {
  const sort = event.target.dataset && event.target.dataset.sort;
  if (!sort) return;
  view.sort = sort;
  for (const button of byId("source-table").tHead.querySelectorAll("button")) {
    button.closest("th").setAttribute("aria-sort", button.dataset.sort === sort ? "descending" : "none");
  }
  refreshSoon();
});
byId("filter").addEventListener("input", () => {
  view.filter = filterOf(byId("filter").value);
  clearTimeout(view.timer);
  view.timer = setTimeout(round, 300);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refreshSoon();
});
setInterval(showLiveness, 1000);
round();
