"use strict";
// The mode "race": the rules and other methods from the same start, in a table, in words, and on the map.

const RUNNERS = [...RULE_NAMES, ...Object.keys(METHODS), "lbfgs"];
const titleOf = (name) => (name === "lbfgs" ? "L-BFGS-B" : METHODS[name] ? METHODS[name].title : name);
const lineOf = (name) => (DATA.rules[name] ?
  { colour: DATA.rules[name].colour, dash: dash(name) } :
  { colour: style("--" + name), dash: { gd: [2, 3], momentum: [8, 3] }[name] || [] });
const defaultRace = () => ({
  hidden: [], ...Object.fromEntries(Object.entries(METHODS).map(([name, m]) => [name, Object.values(m.parameters)])),
});

// L-BFGS-B's evaluations, recorded by SciPy; null where it was not run from this start.
function recordedPath() {
  const recorded = DATA.lbfgs[state.objective.name], { start, steps } = state.options;
  if (nowNoisy() || !recorded || recorded[0][0] !== start[0] || recorded[0][1] !== start[1]) return null;
  return recorded.slice(0, steps + 1).map((x) => ({ x, f: state.functions.value(...x) }));
}

function computeRace() {
  if (!$("race-cells").children.length) beginRace();
  const runs = Object.fromEntries(RULE_NAMES.map((rule) => [rule, state.runs[rule]]));
  state.rates = {};
  for (const name of Object.keys(METHODS)) {
    const parameters = [...state.race[name]];
    if (parameters[0] === null) parameters[0] = bestRate(state.functions, name, parameters, state.options);
    state.rates[name] = parameters[0];
    runs[name] = descend(state.functions, name, parameters, state.options);
  }
  const path = recordedPath();
  if (path) runs.lbfgs = path;
  const { minimum } = state.objective;
  const values = Object.values(runs).flatMap((rows) => rows.map((row) => row.f)).filter(Number.isFinite);
  const lowest = minimum ? state.functions.value(...minimum) : Math.min(...values);
  state.raced = Object.fromEntries(Object.entries(runs).map(([name, rows]) =>
    [name, { rows, arrived: arrival(rows, lowest, nowNoisy()), facts: facts(rows), left: (rows.at(-1).f - lowest) / (rows[0].f - lowest) }]));
  fillRace();
}

const racing = () => RUNNERS.filter((name) => state.raced[name] && !state.race.hidden.includes(name));
const at = (rows) => rows[Math.min(state.k, rows.length - 1)];

function racePicture() {
  const order = racing().filter((name) => name !== state.rule).concat(racing().includes(state.rule) ? [state.rule] : []);
  return {
    paths: order.map((name) => ({
      ...lineOf(name), points: state.raced[name].rows.slice(0, state.k + 1).map(pointOf), alpha: 0.9,
      width: name === state.rule ? 2.5 : 1.6,
    })),
    dots: order.map((name) => [...pointOf(at(state.raced[name].rows)), lineOf(name).colour]),
    here: pointOf(state.runs[state.rule][state.k]),
  };
}

function drawRace() {
  chart("race-values", racing().map((name) => ({
    ...lineOf(name), ys: state.raced[name].rows.map((row) => row.f), width: name === state.rule ? 2.6 : 1.4,
  })), [], 1e-12 * state.runs[state.rule][0].f);
  for (const name of RUNNERS) {
    if (state.raced[name]) $("race-f-" + name).textContent = short(at(state.raced[name].rows).f);
  }
}

function fillRace() {
  for (const name of RUNNERS) {
    const raced = state.raced[name];
    $("race-f-" + name).textContent = raced ? "" : "\u2013";
    $("race-n-" + name).textContent =
      !raced ? "\u2013" : raced.arrived < 0 ? "> " + state.options.steps : raced.arrived + 1;
    $("race-show-" + name).checked = !state.race.hidden.includes(name);
  }
  for (const name of Object.keys(METHODS)) {
    state.race[name].forEach((v, i) => {
      const input = $(`race-${name}-${i}`);
      input.value = v === null ? "" : v;
      if (i === 0) input.placeholder = short(state.rates[name]);
    });
  }
  $("race-words").replaceChildren(
    element("li", raceResult()),
    ...[state.rule, ...Object.keys(METHODS), "lbfgs"].filter((name) => racing().includes(name)).map((name) => {
      const line = element("li", " " + raceSentence(name));
      line.prepend(element("strong", titleOf(name)));
      return line;
    }),
    ...(state.raced.lbfgs ? [] : [element("li", nowNoisy() ?
      "L-BFGS-B needs exact gradients, so it is left out." :
      "L-BFGS-B was recorded from the objective's own start only.")]),
  );
}

function raceResult() {
  const first = (key, names) => names.sort((a, b) => state.raced[a][key] - state.raced[b][key])[0];
  const winner = first("arrived", racing().filter((name) => state.raced[name].arrived >= 0));
  if (winner) return `${titleOf(winner)} arrives first, after ${state.raced[winner].arrived + 1} evaluations.`;
  const nearest = nowNoisy() && first("left", racing().filter((name) => state.raced[name].left < 1));
  const nothing = `Nothing arrives within ${state.options.steps} steps.`;
  return nearest ? `${nothing} Nearest at the end is ${titleOf(nearest)}.` : nothing;
}

function raceSentence(name) {
  const { facts: seen, arrived, left } = state.raced[name];
  if (!nowNoisy() || seen.diverged) return (SENTENCES[name] || ofRprop)(seen, arrived);
  const said = NOISY_SENTENCES[name] ? NOISY_SENTENCES[name]() : ofNoisyRprop(hasCollapsed(state.runs[name], state.options));
  return `${said} At the end it has ${shareText(left)} of the height left.`;
}

function readRace() {
  const race = defaultRace();
  race.hidden = RUNNERS.filter((name) => !$("race-show-" + name).checked);
  for (const name of Object.keys(METHODS)) {
    race[name] = race[name].map((usual, i) => {
      const v = $(`race-${name}-${i}`).valueAsNumber;
      return Number.isNaN(v) ? usual : v;
    });
  }
  state.race = race;
  computeRace();
  draw();
}

// Made when it is first shown.
function beginRace() {
  for (const name of RUNNERS) {
    const line = element("tr", ""), who = element("div", ""), cell = element("td", ""), label = element("label", ""), swatch = element("i", "");
    const check = Object.assign(document.createElement("input"), { type: "checkbox", id: "race-show-" + name });
    check.addEventListener("change", readRace);
    // A variable of the style sheet follows the colour scheme.
    const tint = DATA.rules[name] ? lineOf(name).colour : `var(--${name})`;
    swatch.style.borderTop = `3px ${lineOf(name).dash.length ? "dashed" : "solid"} ${tint}`;
    label.append(check, swatch, titleOf(name));
    who.append(label);
    Object.keys(METHODS[name] ? METHODS[name].parameters : {}).forEach((parameter, i) => {
      const field = element("label", parameter);
      const input = Object.assign(document.createElement("input"), { type: "number", step: "any", id: `race-${name}-${i}` });
      input.setAttribute("aria-label", `${parameter} of ${titleOf(name)}`);
      input.addEventListener("change", readRace);
      field.append(input);
      who.append(field);
    });
    cell.append(who);
    line.append(cell, ...["race-f-", "race-n-"].map((id) => Object.assign(element("td", ""), { id: id + name })));
    $("race-cells").append(line);
  }
}
