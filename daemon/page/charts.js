// Small charts of the last hour, as SVG. Gaps stay gaps; several samples in one column show their greatest.

const svgNamespace = "http://www.w3.org/2000/svg";
const chartWidth = 360, chartHeight = 64;

function pathOf(times, values, begin, end, greatest) {
  let line = "", drawing = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined || times[index] < begin) {
      drawing = false;
      return;
    }
    const x = (times[index] - begin) / (end - begin) * chartWidth;
    const y = chartHeight - value / greatest * (chartHeight - 3);
    line += `${drawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (!drawing) line += `h0.01`;  // a single sample is a dot
    drawing = true;
  });
  return line;
}

function areaOf(times, values, begin, end, greatest) {
  let area = "", first = null, last = 0;
  const close = () => {
    if (first !== null) area += `L${last.toFixed(1)} ${chartHeight}L${first.toFixed(1)} ${chartHeight}Z`;
    first = null;
  };
  values.forEach((value, index) => {
    if (value === null || value === undefined || times[index] < begin) return close();
    last = (times[index] - begin) / (end - begin) * chartWidth;
    area += `${first === null ? "M" : "L"}${last.toFixed(1)} ${(chartHeight - value / greatest * (chartHeight - 3)).toFixed(1)}`;
    if (first === null) first = last;
  });
  close();
  return area;
}

function makeChart(figure, series) {
  const svg = document.createElementNS(svgNamespace, "svg");
  svg.setAttribute("viewBox", `0 0 ${chartWidth} ${chartHeight}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const path = (className) => {
    const element = document.createElementNS(svgNamespace, "path");
    element.setAttribute("class", className);
    svg.append(element);
    return element;
  };
  path("grid").setAttribute("d", `M0 ${chartHeight}H${chartWidth}`);
  const lines = series.map((_, index) => ({ area: path(`area a${index}`), line: path(`l${index}`) }));
  const axis = make("figcaption", "axis");
  const from = make("span"), key = make("span"), to = make("span");
  series.forEach((one, index) => {
    if (one.name) key.append(make("span", `key${index}`, (index ? " · " : "") + one.name));
  });
  axis.append(from, key, to);
  figure.replaceChildren(svg, axis);
  figure.chart = { svg, lines, from, to };
}

// `series`: [{name, values}], columns of the same length as `times` (seconds since the epoch).
function drawChart(figure, times, series, unit) {
  if (!figure.chart) makeChart(figure, series);
  const { svg, lines, from, to } = figure.chart;
  const known = series.flatMap((one) => one.values.filter((value) => value !== null && value !== undefined));
  if (times.length < 2 || known.length === 0) {
    lines.forEach(({ area, line }) => { area.setAttribute("d", ""); line.setAttribute("d", ""); });
    setText(from, "no trend yet");
    setText(to, "");
    return;
  }
  const end = times[times.length - 1];
  const begin = Math.max(times[0], end - 3600);
  const peak = known.reduce((greatest, value) => Math.max(greatest, value), 0);
  const greatest = peak || 1;
  series.forEach((one, index) => {
    lines[index].line.setAttribute("d", pathOf(times, one.values, begin, end, greatest));
    lines[index].area.setAttribute("d", areaOf(times, one.values, begin, end, greatest));
  });
  const told = `${span(end - begin)}, up to ${short(peak)} ${unit}`;
  svg.setAttribute("aria-label", `the last ${told}`);
  setText(from, `last ${span(end - begin)}`);
  setText(to, `up to ${short(peak)}`);
}
