"use strict";
// The page. DATA has the rules' facts, the objectives and the recorded runs; rules.js computes new runs, draw.js draws.

const $ = (id) => document.getElementById(id);
const RULE_NAMES = Object.keys(DATA.rules);
const OPTIONS = [
  ["lr", "first step size"], ["etaMinus", "\u03b7\u2212"], ["etaPlus", "\u03b7+"], ["min", "smallest step size"],
  ["max", "largest step size"], ["a", "start a"], ["b", "start b"], ["steps", "iterations"],
];

const MODES = ["watch", "race", "predict", "bug"];
// The choice of a function that is typed in, and what is typed there at first.
const OWN = "your own", EXAMPLE = "(1-a)^2 + 100*(b-a^2)^2";

const state = {
  objective: null, rule: DATA.rule, runs: {}, k: 0, options: null, timer: null, mode: "watch", race: null, bug: 0,
};

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

// What is drawn on the map.
function picture() {
  if (state.mode === "race") return racePicture();
  if (state.mode === "bug") return bugPicture();
  const order = RULE_NAMES.filter((rule) => rule !== state.rule).concat(state.rule);
  const walked = (rule) => state.runs[rule].slice(0, state.k + 1);
  return {
    paths: order.map((rule) => ({
      points: walked(rule).map(pointOf), colour: DATA.rules[rule].colour, dash: dash(rule),
      alpha: rule === state.rule ? 1 : 0.5, width: rule === state.rule ? 2.5 : 1.2,
    })),
    dots: walked(state.rule).map((row) => [...pointOf(row), style(row.event.some(changed) ? "--shrank" : "--grew")]),
    here: pointOf(state.runs[state.rule][state.k]),
  };
}

function drawCharts() {
  const rows = state.runs[state.rule];
  const quiet = style("--quiet");
  const variables = state.names.map((_, i) => i);
  const sizes = variables.map((i) => rows.map((row) => row.size[i]));
  const dots = variables.flatMap((i) => rows.slice(0, -1).map((row, k) => [k, row.size[i], colour(row.event[i])]));
  chart("sizes", sizes.map((ys, i) => ({ ys, colour: quiet, width: 1, dash: i ? [4, 3] : [] })), dots);
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
    line.append(element("td", name), ...state.names.map((_, i) => element("td", values[i], kinds && kinds[i])));
    return line;
  }));
  $("code").replaceChildren(...listing(state.rule).map(([text, test]) => {
    const who = state.names.filter((_, i) => test(row.event[i]));
    const line = element("li", "", who.length ? "taken" : "");
    line.append(element("code", text), element("span", who.join(" "), "who"));
    return line;
  }));
}

function drawNow() {
  const row = state.runs[state.rule][state.k];
  $("now").textContent = `iteration ${state.k} of ${state.options.steps}: f = ${show(row.f)}`;
}

// What each mode draws beside the map, and what it computes when the runs have changed.
const DRAW = {
  watch() {
    drawStep();
    // The first time, what is below can wait until the page can be used.
    if (state.isDrawn) drawCharts();
    else whenIdle(() => { if (state.mode === "watch") drawCharts(); });
  },
  race: () => drawRace(),
  predict: () => drawPrediction(),
  bug: () => drawBug(),
};
const COMPUTE = { watch() {}, race: () => computeRace(), predict() {}, bug: () => computeBug() };

function draw() {
  if (state.isReading || !state.isReady) return;
  $("time").value = state.k;
  drawNow();
  drawPath(picture());
  drawTraining();
  DRAW[state.mode]();
  state.isDrawn = true;
  writeAddress();
}

// ------------------------------------------------------------------------------------------------------
// The address, and files to keep

const settings = () => ({
  mode: state.mode, objective: state.objective.name, f: state.objective.text, rule: state.rule, ...state.options,
  k: state.k, race: state.race, bug: state.bug,
});

// Browsers allow an address to be changed only so often, so it is written once things are at rest.
function writeAddress() {
  clearTimeout(state.writing);
  state.writing = setTimeout(() => history.replaceState(null, "", "#" + toLink(settings())), 250);
}

function readAddress() {
  const known = {
    modes: MODES, objectives: [...DATA.objectives.map((o) => o.name), OWN], rules: RULE_NAMES, runners: RUNNERS,
    bugs: DATA.bugs.length,
  };
  const defaults = (objective = DATA.recorded.name) =>
    ({ mode: "watch", objective, f: EXAMPLE, rule: DATA.rule, ...optionsOf(objective), race: defaultRace(), bug: 0 });
  const { settings: asked, problems } = fromLink(location.hash.slice(1), known, defaults);
  const { mode, objective, f, rule, k, race, bug, ...options } = asked;
  // What follows would draw several times.
  Object.assign(state, { mode, rule, race, bug, isReading: true });
  if (objective === OWN) $("own-text").value = f;
  // What remains if the text of the link is no function.
  if (!state.objective && objective === OWN) choose(DATA.recorded.name);
  choose(objective, options);
  setRule(rule);
  setMode(mode);
  state.isReading = false;
  go(k);
  if (problems.length) $("wrong").textContent = problems.join(" ");
}

async function copyLink() {
  const link = location.href.split("#")[0] + "#" + toLink(settings());
  $("link").value = link;
  try {
    await navigator.clipboard.writeText(link);
    $("saved").textContent = "The link is copied.";
  } catch {
    $("link").hidden = false;
    $("link").select();
    $("saved").textContent = "Copy the link from the field.";
  }
}

const asAddress = (kind, text) => `data:${kind};charset=utf-8,${encodeURIComponent(text)}`;
const SAVES = {
  png: () => pictureAsPng(picture()),
  svg: () => asAddress("image/svg+xml", pictureAsSvg(picture())),
  csv: () => asAddress("text/csv", csv(state.runs[state.rule], state.names.length, DATA.events)),
};

// ------------------------------------------------------------------------------------------------------
// Changing

function go(k) {
  state.k = Math.max(0, Math.min(state.options.steps, k));
  draw();
}

const wantsLittleMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

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
  }, wantsLittleMotion() ? 800 : 120);
  $("play").textContent = "Pause";
  $("play").setAttribute("aria-label", "pause");
}

// Whether these options on this objective are the recorded ones.
function isRecorded() {
  const { name } = DATA.recorded, options = optionsOf(name);
  const same = (a, b) => a.lr === b.lr && a.etaMinus === b.etaMinus && a.etaPlus === b.etaPlus && a.min === b.min &&
    a.max === b.max && a.steps === b.steps && a.start[0] === b.start[0] && a.start[1] === b.start[1];
  return state.objective.name === name && same(state.options, options) && !nowNoisy();
}

function fromRecord(rule) {
  // The record has only the signs of gradients, so gradients and stored gradients are computed again.
  const record = DATA.recorded.runs[rule];
  const { da, db } = state.exact;
  const isCleared = (e) => changed(e) && DATA.rules[rule].clears;
  let prev = [0, 0], oldSize = [state.options.lr, state.options.lr];
  return record.x.map((x, k) => {
    const g = [da(...x), db(...x)];
    const row = { x: x, f: record.f[k], seen: record.f[k], g: g, prev: prev, oldSize: oldSize, size: record.size[k], event: record.event[k] };
    oldSize = row.size;
    prev = g.map((v, i) => (isCleared(row.event[i]) ? 0 : v));
    return row;
  });
}

// The runs of all rules. Each is computed when it is first asked for.
function lazyRuns(compute) {
  const runs = {};
  for (const rule of RULE_NAMES) {
    const get = () => {
      const value = compute(rule);
      Object.defineProperty(runs, rule, { value, enumerable: true });
      return value;
    };
    Object.defineProperty(runs, rule, { get, enumerable: true, configurable: true });
  }
  return runs;
}

function recompute() {
  const recorded = isRecorded();
  const functions = disturbed(state.exact, pointsOf(), state.options), { options } = state;
  state.functions = functions;
  state.runs = lazyRuns((rule) => (recorded ? fromRecord(rule) : run(functions, rule, options)));
  $("source").textContent = recorded ? "These runs were recorded by rprop_ref." : "These runs were computed in this page.";
  $("time").max = state.options.steps;
  computeTraining();
  if (state.objective.name === OWN) {
    state.objective.window = ownWindow();
    forgetBackground();
  }
  COMPUTE[state.mode]();
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
  const { a, b, ...others } = v;
  const options = { ...state.options, ...others, start: [a, b] };
  const wrong = wrongOptions(options);
  $("wrong").textContent = wrong;
  if (wrong) return;
  state.options = options;
  recompute();
}

// The recorded options, with the start and the first step size of the objective, and exact gradients.
function optionsOf(name) {
  const recorded = { ...DATA.recorded.options, ...EXACT };
  if (name === DATA.recorded.name) return recorded;
  if (name === OWN) return { ...recorded, lr: 0.1, start: [-1.2, 1] };
  const { lr, start } = DATA.objectives.find((o) => o.name === name);
  return { ...recorded, lr, start };
}

// The same, with the noise of now.
function optionsWithNoise(name) {
  const { noise, seed, batch } = state.options || EXACT;
  return { ...optionsOf(name), noise, seed, batch };
}

// The function of the text field; null, with the error under its character, if the text is none.
function readOwn() {
  const text = $("own-text").value;
  try {
    const functions = parse(text);
    const objective = { name: OWN, about: "differentiated exactly, in forward mode", text, minimum: null };
    $("own-wrong").hidden = true;
    return { objective, exact: functions };
  } catch (error) {
    if (!(error instanceof TextError)) throw error;
    $("own-wrong").textContent = `${text}\n${" ".repeat(error.position)}^\n${error.message}`;
    $("own-wrong").hidden = false;
    return null;
  }
}

function choose(name, options) {
  const isOwn = name === OWN;
  $("own").hidden = $("own-help").hidden = !isOwn;
  $("own-wrong").hidden = true;
  $("objective").value = name;
  const known = DATA.objectives.find((o) => o.name === name);
  const chosen = isOwn ? readOwn() : { objective: known, exact: compile(known) };
  if (!chosen) return;
  state.options = options || optionsWithNoise(name);
  Object.assign(state, chosen, { functions: chosen.exact });
  state.names = state.functions.names || ["a", "b"];
  if (state.names.length === 1) state.options.start = [state.options.start[0], 0];
  state.k = 0;
  $("star").hidden = !state.objective.minimum;
  $("about").textContent = state.objective.name + ": " + state.objective.about + ".";
  const isFinite = Number.isFinite(state.functions.value(...state.options.start));
  $("wrong").textContent = isFinite ? "" : "f is not finite at the start.";
  $("names").replaceChildren(element("th", "quantity"), ...state.names.map((variable) => element("th", variable)));
  ["a", "b"].forEach((key, i) => {
    const label = $("option-" + key).parentElement;
    label.hidden = i >= state.names.length;
    label.firstChild.textContent = "start " + (state.names[i] || key);
  });
  fillOptions();
  forgetBackground();
  recompute();
}

// The part of the plane, or of the line, in which the runs take place, with a margin; with one variable, also the
// values there.
function ownWindow() {
  const rows = Object.values(state.runs).flat();
  const range = (values) => {
    const finite = values.filter((v) => Math.abs(v) < 1e6);
    const low = Math.min(...finite), high = Math.max(...finite), margin = Math.max(0.25 * (high - low), 1e-3);
    return finite.length ? [low - margin, high + margin] : [-1, 1];
  };
  const across = range(rows.map((row) => row.x[0]));
  if (state.names.length === 2) return [...across, ...range(rows.map((row) => row.x[1]))];
  const [left, right] = across;
  const curve = Array.from({ length: 201 }, (_, i) => state.functions.value(left + (i / 200) * (right - left), 0));
  return [...across, ...range(curve)];
}

function setRule(rule) {
  state.rule = rule;
  $("rule").value = rule;
  const lines = state.names.map((name, i) => name + [": solid", ": dashed"][i]);
  $("of").textContent = `(${[rule, lines.join(", ")].join("; ")})`;
  if (state.mode === "race") fillRace();
  computeTraining();
  draw();
}

function setMode(mode) {
  state.mode = mode;
  for (const part of document.querySelectorAll("[data-modes]")) part.hidden = !part.dataset.modes.split(" ").includes(mode);
  for (const button of $("modes").children) button.setAttribute("aria-pressed", button.dataset.mode === mode);
  COMPUTE[mode]();
  draw();
}

function begin() {
  beginTraining();
  beginClassroom();
  $("modes").addEventListener("click", (e) => { if (e.target.dataset.mode) setMode(e.target.dataset.mode); });
  $("objective").append(...DATA.objectives.map((o) => element("option", o.name)), element("option", OWN));
  $("own-text").value = EXAMPLE;
  $("own").addEventListener("submit", (e) => {
    e.preventDefault();
    choose(OWN, state.objective.name === OWN ? { ...state.options } : undefined);
    setRule(state.rule);
  });
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
  $("objective").addEventListener("change", (e) => { choose(e.target.value); setRule(state.rule); });
  $("rule").addEventListener("change", (e) => setRule(e.target.value));
  $("time").addEventListener("input", (e) => { pause(); go(Number(e.target.value)); });
  $("play").addEventListener("click", play);
  $("back").addEventListener("click", () => { pause(); go(state.k - 1); });
  $("on").addEventListener("click", () => { pause(); go(state.k + 1); });
  $("reset").addEventListener("click", () => choose(DATA.recorded.name, optionsOf(DATA.recorded.name)));
  $("path").addEventListener("click", (e) => {
    const box = $("path").getBoundingClientRect();
    const [left, right, bottom, top_] = state.objective.window;
    const a = left + ((e.clientX - box.left) / box.width) * (right - left);
    const b = top_ - ((e.clientY - box.top) / box.height) * (top_ - bottom);
    state.options = { ...state.options, start: [Number(a.toPrecision(3)), state.names.length === 1 ? 0 : Number(b.toPrecision(3))] };
    state.k = 0;
    fillOptions();
    recompute();
  });
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || ["INPUT", "SELECT"].includes(e.target.tagName) && e.target.id !== "time") return;
    const keys = { ArrowLeft: () => go(state.k - 1), ArrowRight: () => go(state.k + 1), Home: () => go(0),
      End: () => go(state.options.steps) };
    if (keys[e.key]) { pause(); keys[e.key](); }
    else if (e.key === " " && !["BUTTON", "SUMMARY"].includes(e.target.tagName)) play();
    else if (/^[1-9]$/.test(e.key) && e.key <= RULE_NAMES.length) setRule(RULE_NAMES[Number(e.key) - 1]);
    else return;
    e.preventDefault();
  });
  const redraw = () => {
    forgetBackground();
    resize($("path"));
    draw();
  };
  // An observer also calls back at the start, when the size is as it was.
  let seen = "";
  new ResizeObserver(() => {
    const box = $("map").getBoundingClientRect(), now = [box.width, box.height, devicePixelRatio].join();
    if (seen && now !== seen) redraw();
    seen = now;
  }).observe($("map"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  $("copy").addEventListener("click", copyLink);
  for (const [kind, make] of Object.entries(SAVES)) {
    $("save-" + kind).addEventListener("click", () => {
      offer(`rprop-${state.objective.name}.${kind}`, make());
      $("saved").textContent = "Saved.";
    });
  }
  addEventListener("hashchange", readAddress);
  // A link may ask the page to play, which readers who want little motion are spared.
  const plays = new URLSearchParams(location.hash.slice(1)).has("play") && !wantsLittleMotion();
  readAddress();
  // From here on the page answers. What it shows is drawn with the next frame, when the layout is known.
  requestAnimationFrame(() => {
    state.isReady = true;
    resize($("path"));
    draw();
    if (plays) play();
  });
}
