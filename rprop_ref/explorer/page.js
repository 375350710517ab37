"use strict";
// The page. DATA has the rules' facts, the objectives and the recorded runs; rules.js computes new runs.

const $ = (id) => document.getElementById(id);
const RULE_NAMES = Object.keys(DATA.rules);
const OPTIONS = [
  ["lr", "first step size"], ["etaMinus", "\u03b7\u2212"], ["etaPlus", "\u03b7+"], ["min", "smallest step size"],
  ["max", "largest step size"], ["a", "start a"], ["b", "start b"], ["steps", "iterations"],
];

const state = { objective: null, rule: DATA.rule, runs: {}, k: 0, options: null, timer: null };

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function show(v) {
  if (!Number.isFinite(v)) return String(v);
  const size = Math.abs(v);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return v.toExponential(3);
  return String(Number(v.toPrecision(6)));
}

function words(e) {
  if (!stepped(e)) return "end";
  let text = grew(e) ? "grew" : changed(e) ? "shrank" : (e & CHANGE) === UNDERFLOW ? "kept (underflow)" : "kept";
  if ((e & MOVE) === HELD) text += ", stays";
  if ((e & MOVE) === UNDONE) text += ", undone";
  if (e & LOWER) text += ", smallest";
  if (e & UPPER) text += ", largest";
  return text;
}

function colour(e) {
  if (e & (LOWER | UPPER)) return style("--clamped");
  return style(grew(e) ? "--grew" : changed(e) ? "--shrank" : "--kept");
}

// ------------------------------------------------------------------------------------------------------
// Drawing

const dash = (rule) => (DATA.rules[rule].line === "--" ? [6, 4] : []);

// Fit the canvas to its box on the screen; returns its context, and its size in CSS pixels.
function resize(canvas) {
  const scale = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(box.width * scale));
  canvas.height = Math.max(1, Math.round(box.height * scale));
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  return [pen, box.width, box.height];
}

function place(a, b, width, height) {
  const [left, right, bottom, top_] = state.objective.window;
  return [((a - left) / (right - left)) * width, ((top_ - b) / (top_ - bottom)) * height];
}

let background = null;

function drawContours() {
  const canvas = $("path");
  const [pen] = resize(canvas);
  const w = canvas.width, h = canvas.height;
  const [left, right, bottom, top_] = state.objective.window;
  const { value } = state.functions;
  const lowest = value(...state.objective.minimum);
  const heights = new Float64Array(w * h);
  for (let r = 0; r < h; r++) {
    const b = top_ - ((r + 0.5) / h) * (top_ - bottom);
    for (let c = 0; c < w; c++) {
      heights[r * w + c] = value(left + ((c + 0.5) / w) * (right - left), b) - lowest;
    }
  }
  const sorted = Float64Array.from(heights.filter((_, i) => i % 97 === 0)).sort();
  const unit = 0.02 * sorted[sorted.length >> 1], highest = Math.log(1 + sorted[sorted.length - 1] / unit);
  const picture = pen.createImageData(w, h);
  const rgb = (name) => style(name).split(",").map(Number);
  const low = rgb("--low"), high = rgb("--high"), line = rgb("--contour");
  const bands = 16;
  const level = Int8Array.from(heights, (v) => Math.floor((Math.log(1 + Math.max(v, 0) / unit) / highest) * bands));
  for (let i = 0; i < w * h; i++) {
    const t = Math.min(1, level[i] / bands);
    const edge = level[i] !== level[i + 1 < w * h ? i + 1 : i] || level[i] !== level[i + w < w * h ? i + w : i];
    const border = i % w === w - 1;
    for (let j = 0; j < 3; j++) {
      picture.data[4 * i + j] = edge && !border ? line[j] : low[j] + t * (high[j] - low[j]);
    }
    picture.data[4 * i + 3] = 255;
  }
  background = picture;
}

// Round numbers between low and high, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

// The axes lie inside the map, so that its edges are the window's.
function drawAxes(pen, width, height) {
  const [left, right, bottom, top_] = state.objective.window;
  pen.font = "12px system-ui, sans-serif";
  pen.strokeStyle = pen.fillStyle = style("--fore");
  pen.lineWidth = 1;
  const write = (text, x, y, align, baseline) => {
    pen.textAlign = align;
    pen.textBaseline = baseline;
    pen.fillText(text, x, y);
  };
  pen.beginPath();
  for (const a of ticks(left, right, Math.min(8, width / 60))) {
    const [x] = place(a, bottom, width, height);
    if (x < 34 || x > width - 24) continue;
    pen.moveTo(x, height);
    pen.lineTo(x, height - 5);
    write(String(a), x, height - 7, "center", "bottom");
  }
  for (const b of ticks(bottom, top_, 6)) {
    const [, y] = place(left, b, width, height);
    if (y < 12 || y > height - 24) continue;
    pen.moveTo(0, y);
    pen.lineTo(5, y);
    write(String(b), 8, y, "left", "middle");
  }
  pen.stroke();
  write("a", width - 8, height - 7, "right", "bottom");
  write("b", 8, 4, "left", "top");
}

function drawPath() {
  const canvas = $("path"), pen = canvas.getContext("2d");
  const box = canvas.getBoundingClientRect();
  pen.putImageData(background, 0, 0);
  drawAxes(pen, box.width, box.height);
  const order = RULE_NAMES.filter((rule) => rule !== state.rule).concat(state.rule);
  for (const rule of order) {
    const main = rule === state.rule;
    pen.strokeStyle = DATA.rules[rule].colour;
    pen.setLineDash(dash(rule));
    pen.globalAlpha = main ? 1 : 0.5;
    pen.lineWidth = main ? 2.5 : 1.2;
    pen.beginPath();
    state.runs[rule].slice(0, state.k + 1).forEach((row, i) => {
      const [px, py] = place(row.x[0], row.x[1], box.width, box.height);
      if (i) pen.lineTo(px, py);
      else pen.moveTo(px, py);
    });
    pen.stroke();
  }
  pen.globalAlpha = 1;
  pen.setLineDash([]);
  for (const row of state.runs[state.rule].slice(0, state.k + 1)) {
    const [px, py] = place(row.x[0], row.x[1], box.width, box.height);
    pen.fillStyle = row.event.some(changed) ? style("--shrank") : style("--grew");
    pen.beginPath();
    pen.arc(px, py, 2.6, 0, 7);
    pen.fill();
  }
  const [ma, mb] = place(...state.objective.minimum, box.width, box.height);
  pen.fillStyle = style("--fore");
  pen.font = "16px sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText("\u2605", ma, mb);
  const row = state.runs[state.rule][state.k];
  const [px, py] = place(row.x[0], row.x[1], box.width, box.height);
  const marker = $("marker");
  marker.style.left = px + 1 + "px";
  marker.style.top = py + 1 + "px";
  marker.style.visibility = px >= 0 && py >= 0 && px <= box.width && py <= box.height ? "visible" : "hidden";
  marker.dataset.a = row.x[0];
  marker.dataset.b = row.x[1];
}

// A chart over iterations; its vertical axis is logarithmic if no value is negative.
function chart(id, lines, dots) {
  const [pen, width, height] = resize($(id));
  const all = lines.flatMap((line) => line.ys).filter(Number.isFinite);
  const positive = all.filter((v) => v > 0);
  const log = positive.length > 0 && Math.min(...all) >= 0;
  const low = log ? Math.min(...positive) : Math.min(...all);
  const to = (v) => (log ? Math.log10(Math.max(v, low)) : v);
  const floor = to(low), ceiling = Math.max(to(Math.max(...all)), floor + 1e-9);
  const last = Math.max(1, state.options.steps), left = 52, base = height - 20;
  const px = (k) => left + (k / last) * (width - left - 8);
  const py = (v) => 8 + ((ceiling - to(v)) / (ceiling - floor)) * (base - 14);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = style("--quiet");
  pen.strokeStyle = style("--line");
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (let i = 0; i <= 3; i++) {
    const v = floor + (i / 3) * (ceiling - floor);
    const y = 8 + ((ceiling - v) / (ceiling - floor)) * (base - 14);
    pen.fillText((log ? 10 ** v : v).toPrecision(2).replace(/\.?0+e/, "e"), left - 6, y);
    pen.beginPath();
    pen.moveTo(left, y);
    pen.lineTo(width - 8, y);
    pen.stroke();
  }
  pen.textAlign = "center";
  for (let i = 0; i <= 4; i++) pen.fillText(Math.round((i / 4) * last), Math.min(px((i / 4) * last), width - 14), base + 10);
  for (const line of lines) {
    pen.strokeStyle = line.colour;
    pen.lineWidth = line.width;
    pen.setLineDash(line.dash || []);
    pen.beginPath();
    let open = false;
    line.ys.forEach((v, k) => {
      if (!Number.isFinite(v)) return void (open = false);
      if (open) pen.lineTo(px(k), py(v));
      else pen.moveTo(px(k), py(v));
      open = true;
    });
    pen.stroke();
  }
  pen.setLineDash([]);
  for (const [k, v, fill] of dots) {
    pen.fillStyle = fill;
    pen.beginPath();
    pen.arc(px(k), py(v), 2.4, 0, 7);
    pen.fill();
  }
  pen.strokeStyle = style("--fore");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(px(state.k), 4);
  pen.lineTo(px(state.k), base);
  pen.stroke();
}

function drawCharts() {
  const rows = state.runs[state.rule];
  const quiet = style("--quiet");
  const sizes = [0, 1].map((i) => rows.map((row) => row.size[i]));
  const dots = [0, 1].flatMap((i) => rows.slice(0, -1).map((row, k) => [k, row.size[i], colour(row.event[i])]));
  chart("sizes", [
    { ys: sizes[0], colour: quiet, width: 1 }, { ys: sizes[1], colour: quiet, width: 1, dash: [4, 3] },
  ], dots);
  chart("values", RULE_NAMES.map((rule) => ({
    ys: state.runs[rule].map((row) => row.f), colour: DATA.rules[rule].colour, dash: dash(rule),
    width: rule === state.rule ? 2.6 : 1.2,
  })), []);
}

function element(tag, text, kind) {
  const created = document.createElement(tag);
  created.textContent = text;
  if (kind) created.className = kind;
  return created;
}

function drawStep() {
  const row = state.runs[state.rule][state.k];
  const moves = state.k < state.options.steps;
  const next = moves ? state.runs[state.rule][state.k + 1].x : null;
  const kind = (e) => (grew(e) ? "grew" : changed(e) ? "shrank" : "");
  const lines = [
    ["x", row.x.map(show)], ["gradient g", row.g.map(show)], ["stored gradient", row.prev.map(show)],
    ["product q", row.g.map((g, i) => show(g * row.prev[i]))], ["step size before", row.oldSize.map(show)],
    ["what happened", row.event.map(words), row.event.map(kind)], ["step size", row.size.map(show)],
    ["next x", next ? next.map(show) : ["", ""]],
  ];
  $("cells").replaceChildren(...lines.map(([name, values, kinds]) => {
    const line = element("tr", "");
    line.append(element("td", name), ...values.map((v, i) => element("td", v, kinds && kinds[i])));
    return line;
  }));
  $("code").replaceChildren(...listing(state.rule).map(([text, test]) => {
    const who = ["a", "b"].filter((_, i) => test(row.event[i]));
    const line = element("li", "", who.length ? "taken" : "");
    line.append(element("code", text), element("span", who.join(" "), "who"));
    return line;
  }));
  $("now").textContent = `iteration ${state.k} of ${state.options.steps}: f = ${show(row.f)}`;
}

function draw() {
  $("time").value = state.k;
  drawPath();
  drawStep();
  drawCharts();
}

// ------------------------------------------------------------------------------------------------------
// Changing

function go(k) {
  state.k = Math.max(0, Math.min(state.options.steps, k));
  draw();
}

function pause() {
  clearInterval(state.timer);
  state.timer = null;
  $("play").textContent = "Play";
  $("play").setAttribute("aria-label", "play");
}

function play() {
  if (state.timer !== null) return pause();
  if (state.k >= state.options.steps) state.k = 0;
  state.timer = setInterval(() => {
    go(state.k + 1);
    if (state.k >= state.options.steps) pause();
  }, 120);
  $("play").textContent = "Pause";
  $("play").setAttribute("aria-label", "pause");
}

// Whether these options on this objective are the recorded ones.
function isRecorded() {
  const { name, options } = DATA.recorded;
  const same = (a, b) => a.lr === b.lr && a.etaMinus === b.etaMinus && a.etaPlus === b.etaPlus && a.min === b.min &&
    a.max === b.max && a.steps === b.steps && a.start[0] === b.start[0] && a.start[1] === b.start[1];
  return state.objective.name === name && same(state.options, options);
}

function fromRecord(rule) {
  // The record has only the signs of gradients, so gradients and stored gradients are computed again.
  const record = DATA.recorded.runs[rule];
  const { da, db } = state.functions;
  const isCleared = (e) => changed(e) && DATA.rules[rule].clears;
  let prev = [0, 0], oldSize = [state.options.lr, state.options.lr];
  return record.x.map((x, k) => {
    const g = [da(...x), db(...x)];
    const row = { x: x, f: record.f[k], g: g, prev: prev, oldSize: oldSize, size: record.size[k], event: record.event[k] };
    oldSize = row.size;
    prev = g.map((v, i) => (isCleared(row.event[i]) ? 0 : v));
    return row;
  });
}

function recompute() {
  const recorded = isRecorded();
  for (const rule of RULE_NAMES) {
    state.runs[rule] = recorded ? fromRecord(rule) : run(state.functions, rule, state.options);
  }
  $("source").textContent = recorded ? "These runs were recorded by rprop_ref." : "These runs were computed in this page.";
  $("time").max = state.options.steps;
  go(state.k);
}

function fillOptions() {
  const o = state.options;
  const values = { ...o, a: o.start[0], b: o.start[1] };
  for (const [key] of OPTIONS) {
    const v = values[key];
    $("option-" + key).value = v !== 0 && Math.abs(v) < 1e-3 ? v.toExponential() : v;
  }
}

function readOptions() {
  const v = Object.fromEntries(OPTIONS.map(([key]) => [key, $("option-" + key).valueAsNumber]));
  const wrong =
    Object.values(v).some(Number.isNaN) ? "Every field needs a number." :
    !(v.etaMinus > 0 && v.etaMinus < 1 && v.etaPlus > 1) ? "The factors must be 0 < \u03b7\u2212 < 1 < \u03b7+." :
    v.lr < 0 ? "The first step size must not be negative." :
    !(v.steps >= 1 && v.steps <= 5000 && Number.isInteger(v.steps)) ? "The number of iterations must be 1 to 5000." : "";
  $("wrong").textContent = wrong;
  if (wrong) return;
  state.options = { lr: v.lr, etaMinus: v.etaMinus, etaPlus: v.etaPlus, min: v.min, max: v.max, steps: v.steps,
    start: [v.a, v.b] };
  recompute();
}

function choose(name, options) {
  state.objective = DATA.objectives.find((o) => o.name === name);
  state.functions = compile(state.objective);
  state.options = options || { ...DATA.recorded.options, lr: state.objective.lr, start: state.objective.start };
  state.k = 0;
  $("objective").value = name;
  $("about").textContent = state.objective.name + ": " + state.objective.about + ".";
  $("wrong").textContent = "";
  fillOptions();
  drawContours();
  recompute();
}

function setRule(rule) {
  state.rule = rule;
  $("rule").value = rule;
  $("of").textContent = "(" + rule + "; a: solid, b: dashed)";
  draw();
}

function begin() {
  $("objective").append(...DATA.objectives.map((o) => element("option", o.name)));
  $("rule").append(...RULE_NAMES.map((rule) => element("option", rule)));
  $("legend").append(...RULE_NAMES.map((rule) => {
    const label = element("span", " " + rule);
    const line = element("i", "");
    line.style.borderColor = DATA.rules[rule].colour;
    line.style.borderTopStyle = dash(rule).length ? "dashed" : "solid";
    label.prepend(line);
    return label;
  }));
  for (const [key, text] of OPTIONS) {
    const label = element("label", text);
    const input = document.createElement("input");
    Object.assign(input, { type: "number", id: "option-" + key, step: "any" });
    input.addEventListener("change", readOptions);
    label.append(input);
    $("options").append(label);
  }
  $("objective").addEventListener("change", (e) => choose(e.target.value));
  $("rule").addEventListener("change", (e) => setRule(e.target.value));
  $("time").addEventListener("input", (e) => { pause(); go(Number(e.target.value)); });
  $("play").addEventListener("click", play);
  $("back").addEventListener("click", () => { pause(); go(state.k - 1); });
  $("on").addEventListener("click", () => { pause(); go(state.k + 1); });
  $("reset").addEventListener("click", () => choose(DATA.recorded.name, DATA.recorded.options));
  $("path").addEventListener("click", (e) => {
    const box = $("path").getBoundingClientRect();
    const [left, right, bottom, top_] = state.objective.window;
    const a = left + ((e.clientX - box.left) / box.width) * (right - left);
    const b = top_ - ((e.clientY - box.top) / box.height) * (top_ - bottom);
    state.options = { ...state.options, start: [Number(a.toPrecision(3)), Number(b.toPrecision(3))] };
    state.k = 0;
    fillOptions();
    recompute();
  });
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || ["INPUT", "SELECT"].includes(e.target.tagName) && e.target.id !== "time") return;
    const keys = { ArrowLeft: () => go(state.k - 1), ArrowRight: () => go(state.k + 1), Home: () => go(0),
      End: () => go(state.options.steps) };
    if (keys[e.key]) { pause(); keys[e.key](); }
    else if (e.key === " " && e.target.tagName !== "BUTTON") play();
    else if (/^[1-9]$/.test(e.key) && e.key <= RULE_NAMES.length) setRule(RULE_NAMES[Number(e.key) - 1]);
    else return;
    e.preventDefault();
  });
  const redraw = () => { drawContours(); draw(); };
  new ResizeObserver(redraw).observe($("map"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  choose(DATA.recorded.name, DATA.recorded.options);
  setRule(DATA.rule);
}

begin();
