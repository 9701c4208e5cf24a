// One source, opened by a click: its figures, limits, drops, last hour, and its connections by port and state.

const detail = { name: "", pending: true };

function openDetail(name) {
  detail.name = name;
  setText(byId("detail-title"), name);
  setText(byId("detail-figures"), "");
  setText(byId("detail-seen"), "");
  byId("detail-facts").replaceChildren();
  byId("detail-facts").known = undefined;
  byId("kind-table").hidden = true;
  byId("detail-pending").hidden = false;
  showDrops([]);
  setText(byId("detail-pending"), "asking the kernel …");
  drawHour({ times: [], connections: [], new_rate: [], drop_rate: [] });
  setText(byId("detail-history"), "");
  if (!byId("detail").open) byId("detail").showModal();
  refreshSoon();
}

function drawHour(history) {
  drawChart(byId("chart-detail"), history.times, [{ name: "connections", values: history.connections }], "connections");
  drawChart(byId("chart-detail-rates"), history.times,
    [{ name: "new/s", values: history.new_rate }, { name: "dropped packets/s", values: history.drop_rate }], "per second");
}

function showFacts(source) {
  const facts = [];
  for (const limit of [...source.limits].sort((a, b) => b.usage - a.usage)) {
    facts.push({ className: levelOf(limit.usage, 0.8, 0.95),
                 text: `limit (${limit.origin}): ${limit.approximate ? "about " : ""}${count(limit.counted)} of ${count(limit.connections)}, ` +
                       `${percent(limit.usage)}${limit.rule ? ` · ${limit.rule}` : ""}` });
  }
  for (const drop of [...source.drops].sort((a, b) => b.packets - a.packets)) {
    facts.push({ className: "", text: `dropped: ${count(drop.packets)} packets (${drop.via}) by ${drop.rule || "an unknown rule"}` });
  }
  if (facts.length === 0) facts.push({ className: "quiet", text: "no limit upon it is known, and nothing of it is dropped" });
  keepInStep(byId("detail-facts"), facts, (fact) => fact.text, () => make("li"), (element, fact) => {
    setText(element, fact.text);
    setClass(element, fact.className);
  });
}

function showKinds(survey, failure) {
  byId("detail-pending").hidden = !survey.pending;
  if (failure) setText(byId("detail-pending"), failure);
  byId("kind-table").hidden = survey.pending;
  if (survey.pending) return;
  const kinds = [...survey.kinds];
  if (survey.others > 0) kinds.push({ protocol: "others", destination_port: 0, state: "", connections: survey.others });
  keepInStep(byId("kind-rows"), kinds, (kind) => `${kind.protocol} ${kind.destination_port} ${kind.state}`,
    () => makeRow(["", "number", "", "number"]),
    (row, kind) => fillRow(row, [kind.protocol, kind.destination_port ? String(kind.destination_port) : "–", kind.state, count(kind.connections)]));
}

function showDrops(drops) {
  byId("no-drops").hidden = drops.length > 0;
  byId("drop-table").hidden = drops.length === 0;
  const key = (drop) => [drop.source, drop.destination, drop.port, drop.icmp_type, drop.protocol, drop.interface, drop.hook, drop.rule, drop.via].join(" ");
  keepInStep(byId("drop-rows"), drops, key, () => makeRow(["", "", "number", "", "", "", "number", "rule"]),
    (row, drop) => fillRow(row, [drop.last.slice(11, 19), drop.destination || "–", drop.port ? String(drop.port) : "–", drop.protocol || "–",
      drop.interface || "–", drop.hook || "–", count(drop.packets), drop.rule || "–"]));
}

async function refreshDetail(all) {
  const name = detail.name;
  if (!byId("detail").open) return;
  const query = encodeURIComponent(name);
  const [sources, history, surveys, recent] = await Promise.all([
    ask(`api/v1/sources?limit=2&source=${query}`), ask(`api/v1/history?source=${query}`), ask(`api/v1/sources/detail?rows=200&source=${query}`),
    ask(`api/v1/drops?limit=50&source=${query}`)]);
  if (name !== detail.name) return;
  const source = sources.sources.find((one) => one.source === name);
  if (!source) {
    setText(byId("detail-figures"), "It has no connections, and none of its packets was dropped recently.");
  } else {
    setText(byId("detail-figures"), `${count(source.connections)} connections, ${percent(source.connections / Math.max(all, 1))} of all · ` +
      `${count(source.unreplied)} unreplied · new ${short(source.new_rate)}/s · ${count(source.destination_ports)} destination ports · ` +
      `dropped ${short(source.drop_rate)} packets/s`);
    setText(byId("detail-seen"), `first seen ${source.first_seen}, last ${source.last_seen}`);
    showFacts(source);
  }
  drawHour(history);
  setText(byId("detail-history"), history.times.length ? "" : "The last hour is kept only for the sources at the top of a ranking; this one has not been there.");
  showKinds(surveys.sources[0], surveys.failure);
  showDrops(recent.drops);
  detail.pending = surveys.sources[0].pending;
}
