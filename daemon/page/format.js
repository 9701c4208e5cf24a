"use strict";
// Figures as people read them, and the few ways in which the page touches the document: texts only, never markup.

const byId = (id) => document.getElementById(id);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

function count(number) {
  return whole.format(number || 0);
}

function short(number) {
  const value = Number.isFinite(number) ? number : 0;
  if (value < 0.05) return "0";
  if (value < 9.95) return value.toFixed(1);
  if (value < 9999.5) return count(value);
  const units = ["k", "M", "G", "T"];
  let scaled = value / 1000, unit = 0;
  for (; scaled >= 999.5 && unit < 3; ++unit) scaled /= 1000;
  return (scaled < 9.95 ? scaled.toFixed(1) : scaled.toFixed(0)) + units[unit];
}

function percent(share) {
  const value = Number.isFinite(share) ? share * 100 : 0;
  if (value < 0.05) return "0 %";
  return (value < 9.95 ? value.toFixed(1) : value.toFixed(0)) + " %";
}

function span(seconds) {
  const value = Math.max(0, Math.floor(seconds));
  if (value < 100) return `${value} s`;
  if (value < 6000) return `${Math.floor(value / 60)} min`;
  if (value < 172800) return `${Math.floor(value / 3600)} h ${String(Math.floor(value / 60) % 60).padStart(2, "0")} min`;
  return `${Math.floor(value / 86400)} d`;
}

// The thresholds of the alerts' defaults.
function levelOf(usage, warning, bad) {
  return usage >= bad ? "bad" : usage >= warning ? "warning" : "";
}

// Keeps the children of `list` in step with `items`: the same key keeps its element, so that nothing flickers and the
// focus stays. `fill(element, item)` writes the texts.
function keepInStep(list, items, keyOf, create, fill) {
  const known = list.known || (list.replaceChildren(), list.known = new Map());
  const wanted = new Set();
  let next = list.firstElementChild;
  for (const item of items) {
    let key = keyOf(item);
    while (wanted.has(key)) key += "'";
    wanted.add(key);
    let element = known.get(key);
    if (!element) known.set(key, element = create(item));
    fill(element, item);
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
  }
  for (const [key, element] of known) {
    if (wanted.has(key)) continue;
    element.remove();
    known.delete(key);
  }
}

function makeRow(classes) {
  const row = make("tr");
  for (const className of classes) row.append(make("td", className));
  return row;
}

function fillRow(row, texts) {
  texts.forEach((text, index) => setText(row.cells[index], text));
}
