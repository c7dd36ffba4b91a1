"use strict";
// Draws the report from the embedded results. No library: a page that is opened in ten years still works.

const runs = JSON.parse(document.getElementById("data").textContent);
const labels = [...new Set(runs.map(run => run.label))];
const hidden = new Set();
const color = label => `var(--c${labels.indexOf(label) % 8})`;
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  const it = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) it.setAttribute(key, value);
  it.append(...children);
  return it;
}

function shape(name, attributes = {}, text) {
  const it = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) it.setAttribute(key, value);
  if (text !== undefined) it.textContent = text;
  return it;
}

function at(object, path) {
  return path.split("/").slice(1).reduce((value, key) => value?.[key], object);
}

function figure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  for (const [factor, unit] of [[1e9, " G"], [1e6, " M"], [1e4, " k"]])
    if (size >= factor) return (value / (unit === " k" ? 1e3 : factor)).toPrecision(3) + unit;
  return size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function spread(values) {
  const sorted = values.filter(value => typeof value === "number").sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1] };
}

// ---- the table of figures ------------------------------------------------------------------------------------------

const latency = (what, name) => ["publish_latency", "end_to_end_latency"].includes(what)
  ? `/latency_ms/${what}/percentiles/${name}` : "";
const METRICS = [
  ["Produced, records/s", "/produced/records_per_s", 1], ["Produced, MB/s", "/produced/mb_per_s", 1],
  ["Consumed, records/s", "/consumed/records_per_s", 1], ["Consumed, MB/s", "/consumed/mb_per_s", 1],
  ...["p50", "p99", "p99.9", "p99.99", "max"].map(p => [`Publish ${p}, ms`, latency("publish_latency", p), -1]),
  ...["p50", "p99", "p99.9", "p99.99", "max"].map(p => [`End to end ${p}, ms`, latency("end_to_end_latency", p), -1]),
  ["Broker CPU, cores", "/broker_cost/cpu_cores", -1],
  ["Broker CPU s per million records", "/broker_cost/cpu_s_per_million_records", -1],
  ["Broker CPU s per GB", "/broker_cost/cpu_s_per_gb", -1], ["Broker memory, bytes", "/broker_cost/rss_max", -1],
  ["Disk written, bytes", "/broker_cost/disk_written", 0], ["System calls per 1000 records", "/broker_cost/system_calls/per_thousand_records", -1],
  ["Backlog caught up, s", "/backlog/caught_up_after_s", -1], ["Failed records", "/errors/records", -1],
  ["Kafka's perf-test, records/s", "/producer_performance/records_per_s", 1],
  ["Kafka's perf-test p99, ms", "/producer_performance/p99_ms", -1],
  ["Kafka's perf-test p99.9, ms", "/producer_performance/p99.9_ms", -1],
  ["CPU of everybody else, s", "/broker_cost/others_cpu_s", 0],
];

// One row for each system call that any run counted by name, the most frequent first.
function systemCalls(group) {
  const most = {};
  for (const run of group)
    for (const [name, of] of Object.entries(at(run, "/broker_cost/system_calls/by_name") ?? {}))
      most[name] = Math.max(most[name] ?? 0, of.per_thousand_records);
  return Object.keys(most).filter(name => most[name] > 0).sort((a, b) => most[b] - most[a])
    .map(name => [`\u2003${name}`, `/broker_cost/system_calls/by_name/${name}/per_thousand_records`, -1]);
}

function summaryTable(group) {
  const names = labels.filter(label => group.some(run => run.label === label));
  const of = label => group.filter(run => run.label === label);
  const head = element("tr", {}, element("th", {}, "Median, range below"));
  for (const label of names) {
    const count = of(label).length;
    head.append(element("th", { style: `color: ${color(label)}` }, `${label} · ${count} round${count > 1 ? "s" : ""}`));
  }
  const table = element("table", {}, head);
  const calls = METRICS.findIndex(metric => metric[1].endsWith("system_calls/per_thousand_records")) + 1;
  for (const [name, path, better] of [...METRICS.slice(0, calls), ...systemCalls(group), ...METRICS.slice(calls)]) {
    const cells = names.map(label => spread(of(label).map(run => at(run, path))));
    if (cells.every(cell => cell === null)) continue;
    const row = element("tr", {}, element("td", {}, name));
    const medians = cells.filter(cell => cell).map(cell => cell.median);
    const [top, best] = [Math.max(...medians), better > 0 ? Math.max(...medians) : Math.min(...medians)];
    cells.forEach((cell, index) => {
      const td = element("td");
      if (cell) {
        const isBest = better !== 0 && names.length > 1 && cell.median === best;
        const ratio = index > 0 && cells[0]?.median > 0 && cell.median > 0 ? `×${figure(cell.median / cells[0].median)}  ` : "";
        td.append(element("span", { class: "ratio" }, ratio), element("span", isBest ? { class: "best" } : {}, figure(cell.median)));
        if (cell.min !== cell.max)
          td.append(element("span", { class: "range" }, `${figure(cell.min)} – ${figure(cell.max)}`));
        if (top > 0 && names.length > 1)
          td.append(element("span", { class: "bar", style: `width: ${Math.round(cell.median / top * 90)}px; background: ${color(names[index])}` }));
      } else td.append("–");
      row.append(td);
    });
    table.append(row);
  }
  const verdicts = element("tr", {}, element("td", {}, "Content, order, completeness"));
  for (const label of names) {
    const failed = of(label).filter(run => !run.verification.passed).length;
    verdicts.append(element("td", {}, element("span", { class: failed ? "bad" : "good" }, failed ? `failed in ${failed}` : "passed")));
  }
  table.append(verdicts);
  return element("div", { class: "card wide" }, table);
}

// ---- charts --------------------------------------------------------------------------------------------------------

const W = 560, H = 290, LEFT = 54, RIGHT = 12, TOP = 10, BOTTOM = 34;

function ticksLinear(max) {
  const step = 10 ** Math.floor(Math.log10(max || 1));
  const size = [0.2, 0.5, 1, 2, 5].map(f => f * step).find(s => max / s <= 5.5) || step;
  return Array.from({ length: Math.floor(max / size + 1e-9) + 1 }, (_, i) => i * size);
}

function ticksLog(min, max) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++)
    for (const factor of max / min > 300 ? [1] : [1, 2, 5]) {
      const tick = factor * 10 ** power;
      if (tick >= min * 0.999 && tick <= max * 1.001) ticks.push(tick);
    }
  return ticks;
}

// lines: [{label, name, points: [[x, y]]}]; options: log y, x ticks [[value, text]], x range, shades [[from, to]].
function chart(title, unit, lines, options) {
  const card = element("figure", { class: "card" }, element("h3", {}, title), element("div", { class: "soft small" }, unit));
  const drawing = shape("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title });
  card.append(drawing);
  const draw = () => {
    drawing.replaceChildren();
    const shown = lines.filter(line => !hidden.has(line.label) && line.points.length > 0);
    const ys = shown.flatMap(line => line.points.map(point => point[1])).filter(y => y > 0);
    if (ys.length === 0) {
      drawing.append(shape("text", { x: W / 2, y: H / 2, "text-anchor": "middle" }, "nothing to draw"));
      return;
    }
    const top = Math.max(...ys) * (options.log ? 1.15 : 1.06);
    const bottom = options.log ? Math.min(...ys) / 1.15 : 0;
    const [x0, x1] = options.range;
    const px = x => LEFT + (x - x0) / (x1 - x0 || 1) * (W - LEFT - RIGHT);
    const py = y => options.log
      ? H - BOTTOM - Math.log(Math.max(y, bottom) / bottom) / Math.log(top / bottom) * (H - TOP - BOTTOM)
      : H - BOTTOM - (y - bottom) / (top - bottom) * (H - TOP - BOTTOM);
    for (const [from, to] of options.shades || [])
      drawing.append(shape("rect", { class: "shade", x: px(from), y: TOP, width: Math.max(0, px(to) - px(from)), height: H - TOP - BOTTOM }));
    for (const tick of options.log ? ticksLog(bottom, top) : ticksLinear(top)) {
      drawing.append(shape("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: py(tick), y2: py(tick) }));
      drawing.append(shape("text", { x: LEFT - 8, y: py(tick) + 4, "text-anchor": "end" }, figure(tick)));
    }
    for (const [value, text] of options.ticks) {
      if (value < x0 || value > x1) continue;
      drawing.append(shape("line", { class: "axis", x1: px(value), x2: px(value), y1: H - BOTTOM, y2: H - BOTTOM + 5 }));
      drawing.append(shape("text", { x: px(value), y: H - BOTTOM + 18, "text-anchor": "middle" }, text));
    }
    for (const line of shown) {
      const d = line.points.map(([x, y], i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
      drawing.append(shape("path", { class: "run", d, style: `stroke: ${color(line.label)}` }));
    }
    const cursor = shape("line", { class: "cursor", y1: TOP, y2: H - BOTTOM, visibility: "hidden" });
    drawing.append(cursor);
    drawing.onmousemove = event => {
      const box = drawing.getBoundingClientRect();
      const x = x0 + ((event.clientX - box.left) / box.width * W - LEFT) / (W - LEFT - RIGHT) * (x1 - x0);
      if (x < x0 || x > x1) return leave();
      cursor.setAttribute("x1", px(x)); cursor.setAttribute("x2", px(x)); cursor.setAttribute("visibility", "visible");
      const rows = shown.map(line => {
        const near = line.points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
        return element("div", {}, element("i", { style: `background: ${color(line.label)}` }), `${line.name}: ${figure(near[1])}`);
      });
      const tip = document.getElementById("tip");
      tip.replaceChildren(element("b", {}, options.name(x)), ...rows.slice(0, 14));
      tip.style.display = "block";
      tip.style.left = `${Math.min(event.clientX + 16, innerWidth - 240)}px`;
      tip.style.top = `${event.clientY + 16}px`;
    };
    const leave = () => { cursor.setAttribute("visibility", "hidden"); document.getElementById("tip").style.display = "none"; };
    drawing.onmouseleave = leave;
  };
  redraws.push(draw);
  draw();
  return card;
}

const redraws = [];
const nameOf = run => run.round === undefined ? run.label : `${run.label}, round ${run.round + 1}`;

// Percentiles on an axis of nines: each step to the right halves, or tenths, what is above.
function percentileChart(group, key, title) {
  const nines = percentile => Math.log10(100 / (100 - percentile));
  const lines = group.map(run => {
    const of = run.latency_ms[key];
    const most = Math.log10(Math.max(of.count, 10));
    const points = of.curve.map(([p, ms]) => [p >= 100 ? most : Math.min(nines(p), most), ms]).filter(point => point[1] > 0);
    return { label: run.label, name: nameOf(run), points: of.count ? points : [] };
  });
  const right = Math.max(2, ...lines.flatMap(line => line.points.map(point => point[0])));
  const ticks = [[0, "0"], [nines(50), "50"], [1, "90"], [2, "99"], [3, "99.9"], [4, "99.99"], [5, "99.999"], [6, "99.9999"], [7, "99.99999"]];
  const name = x => `p${(100 - 100 / 10 ** x).toFixed(Math.max(0, Math.ceil(x) - 1))}`;
  return chart(title, "milliseconds, by percentile of records", lines, { log: true, range: [0, right], ticks, name });
}

function seriesChart(group, title, unit, of, log = false) {
  const lines = group.map(run => ({
    label: run.label, name: nameOf(run), points: run.series.map(row => [row.s, of(row)]).filter(point => point[1] > 0),
  }));
  const last = Math.max(1, ...group.flatMap(run => run.series.map(row => row.s)));
  const ticks = ticksLinear(last).map(tick => [tick, `${figure(tick)} s`]);
  const warm = Math.min(...group.map(run => run.workload.warm_up_s));
  const shades = warm > 0 ? [[0, warm]] : [];
  return chart(title, unit, lines, { log, range: [0, last], ticks, shades, name: x => `${Math.round(x)} s` });
}

// ---- the page ------------------------------------------------------------------------------------------------------

function machineLine(machine) {
  return `${machine.virtual ? "virtual machine, " : ""}${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB, `
    + `Linux ${machine.kernel}, ${machine.file_system} on ${machine.device}`;
}

function section(name, group) {
  const first = group[0];
  const box = element("section", {}, element("h2", {}, name), element("p", { class: "soft" }, first.workload.about || ""));
  box.append(summaryTable(group));
  const grid = element("div", { class: "grid" });
  grid.append(percentileChart(group, "publish_latency", "Publish latency"));
  grid.append(percentileChart(group, "end_to_end_latency", "End-to-end latency"));
  grid.append(percentileChart(group, "publish_delay", "Publish delay: how late records left"));
  grid.append(seriesChart(group, "End-to-end p99 over time", "milliseconds, each second; shaded: warm-up", row => row.end_to_end[1], true));
  grid.append(seriesChart(group, "Produced", "records a second", row => row.produced));
  grid.append(seriesChart(group, "Consumed", "records a second", row => row.consumed));
  grid.append(seriesChart(group, "Broker CPU", "cores", row => row.cpu));
  grid.append(seriesChart(group, "Broker memory", "bytes resident", row => row.rss));
  box.append(grid);
  const more = element("details", {}, element("summary", {}, "Workload, contenders, errors"));
  more.append(element("pre", {}, first.workload.text));
  for (const run of group)
    more.append(element("pre", {}, `${nameOf(run)} · ${run.taken_at}\n` + JSON.stringify(
      { target: run.target, verification: run.verification, errors: run.errors, broker_cost: run.broker_cost,
        backlog: run.backlog, producer_performance: run.producer_performance, load_average: run.machine.load_average }, null, 1)));
  box.append(more);
  return box;
}

function legend() {
  const box = element("div", { class: "legend" });
  for (const label of labels) {
    const button = element("button", { "aria-pressed": "true" }, element("i", { style: `background: ${color(label)}` }), label);
    button.onclick = () => {
      hidden.has(label) ? hidden.delete(label) : hidden.add(label);
      button.setAttribute("aria-pressed", String(!hidden.has(label)));
      redraws.forEach(draw => draw());
    };
    box.append(button);
  }
  return box;
}

const page = document.getElementById("workloads");
page.append(legend());
document.getElementById("title").textContent = labels.length > 1 ? labels.join(" · ") : `Load test of ${labels[0] ?? "nothing"}`;
document.getElementById("machine").textContent = runs.length ? machineLine(runs[0].machine) : "";
document.getElementById("theme").onclick = () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
};
for (const name of [...new Set(runs.map(run => run.workload.name))])
  page.append(section(name, runs.filter(run => run.workload.name === name)));
