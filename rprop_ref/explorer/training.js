"use strict";
// Noise and batches on the page: the controls, the points with their line, and what one sees, in words.

const NOISES = [0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3];

const pointsOf = () => state.objective.points || [];
const nowNoisy = () => isNoisy(pointsOf(), state.options);
const percent = (v) => `${short(100 * v, 2)}%`;
const noiseText = (v) => (v === 0 ? "none" : `${percent(v)} of the first gradient`);

function fillTraining() {
  const { noise, seed, batch } = state.options, count = pointsOf().length;
  const nearest = NOISES.findLastIndex((v) => v <= noise);
  $("noise").value = nearest;
  $("noise").setAttribute("aria-valuetext", noiseText(noise));
  $("noise-now").textContent = noiseText(noise);
  $("seed").value = seed;
  $("batch-label").hidden = !count;
  $("seed-label").hidden = $("reseed").hidden = !nowNoisy();
  const sizes = [];
  for (let size = count >> 1; size >= 1; size >>= 1) sizes.push(size);
  if (usesBatches(pointsOf(), state.options) && !sizes.includes(batch)) sizes.push(batch);
  const option = (text, value) => Object.assign(element("option", text), { value });
  $("batch").replaceChildren(option(`all ${count}`, 0), ...sizes.map((size) => option(size, size)));
  $("batch").value = usesBatches(pointsOf(), state.options) ? batch : 0;
}

function changeTraining(changes) {
  const options = { ...state.options, ...changes }, wrong = wrongOptions(options);
  $("wrong").textContent = wrong;
  if (wrong) return;
  state.options = options;
  recompute();
}

// A run that would use the same numbers, but exact gradients.
const exactRun = () => run(state.exact, state.rule, state.options);

const collapseOf = (rows, { lr }) => rows.findIndex((row) => Math.max(...row.size) < lr / 100);
const hasCollapsed = (rows, options) => collapseOf(rows, options) >= 0;
const shareText = (v) => (v < 1e-6 ? "less than a millionth" : v >= 1e-3 ? percent(v) :
  `1 part in ${Number((1 / v).toPrecision(2)).toLocaleString("en")}`);

// What one sees of a run with noise: whether step sizes collapsed, where it stopped, and why. `low` is the lowest value.
function trainingFacts(rows, exact, low, options) {
  const used = rows.slice(0, -1), late = used.slice(used.length >> 1);
  const changes = late.flatMap((row) => row.event).filter((e) => !(e & ZERO));
  const height = rows[0].f - low;
  return {
    collapsed: collapseOf(rows, options),
    changed: changes.filter(changed).length / Math.max(1, changes.length),
    left: (rows.at(-1).f - low) / height, leftExact: (exact.at(-1).f - low) / height,
    agreements: -Math.log(options.etaMinus) / Math.log(options.etaPlus),
  };
}

function trainingWords({ collapsed, changed: share, left, leftExact, agreements }) {
  const far = left > 10 * leftExact && left > 1e-6;
  return [
    `In the second half, ${percent(share)} of the steps saw a change of sign; one change undoes ` +
      `${show(Number(agreements.toPrecision(2)))} steps of the same sign.`,
    collapsed < 0 ? "The step sizes have not collapsed: they stayed above a hundredth of the first." :
      `The step sizes collapse: in step ${collapsed + 1} they are below a hundredth of the first.`,
    `At the end f has ${shareText(left)} of its height at the start left; with exact gradients it would be ${shareText(leftExact)}.`,
    collapsed >= 0 && far ? "Rprop takes noise for a minimum: it stands still where it should go on." :
      far ? "Noise moves it about as far as its step sizes reach." : "Here the noise does no harm.",
  ].join(" ");
}

function drawTraining() {
  const noisy = nowNoisy();
  $("noise-words").hidden = !noisy || state.mode !== "watch";
  $("points-part").hidden = !pointsOf().length;
  if (pointsOf().length) drawPoints();
}

// Computed when the runs or the rule have changed.
function computeTraining() {
  fillTraining();
  if (!nowNoisy()) return;
  const exact = exactRun(), rows = state.runs[state.rule], { minimum } = state.objective;
  const values = [...exact, ...Object.values(state.runs).flat()].map((row) => row.f).filter(Number.isFinite);
  const low = minimum ? state.exact.value(...minimum) : Math.min(...values);
  const seen = trainingFacts(rows, exact, low, state.options);
  $("noise-words").textContent = Number.isFinite(seen.left) ? `${state.rule}: ${trainingWords(seen)}` : "";
}

// The points, those of this step's batch filled, the line of now, and the best line, dashed.
function drawPoints() {
  const points = pointsOf(), [pen, width, height] = resize($("points"));
  const ts = points.map(([t]) => t), ys = points.map(([, y]) => y);
  const [left, right, low, high] = [Math.min(...ts), Math.max(...ts), Math.min(...ys), Math.max(...ys)];
  const px = (t) => 10 + ((t - left) / (right - left || 1)) * (width - 20);
  const py = (y) => height - 10 - ((y - low) / (high - low || 1)) * (height - 20);
  const line = ([a, b], colour_, dashes) => {
    pen.strokeStyle = colour_;
    pen.lineWidth = 2;
    pen.setLineDash(dashes);
    pen.beginPath();
    pen.moveTo(px(left), py(a + b * left));
    pen.lineTo(px(right), py(a + b * right));
    pen.stroke();
    pen.setLineDash([]);
  };
  pen.clearRect(0, 0, width, height);
  const chosen = state.functions.batches ? new Set(state.functions.batches[state.k]) : null;
  points.forEach(([t, y], i) => {
    pen.fillStyle = pen.strokeStyle = style("--grew");
    pen.lineWidth = 1;
    pen.beginPath();
    pen.arc(px(t), py(y), 3, 0, 7);
    if (!chosen || chosen.has(i)) pen.fill();
    else pen.stroke();
  });
  line(state.objective.minimum, style("--quiet"), [5, 4]);
  line(state.runs[state.rule][state.k].x, style("--shrank"), []);
}

function beginTraining() {
  $("noise").max = NOISES.length - 1;
  $("noise").addEventListener("input", (e) => changeTraining({ noise: NOISES[e.target.value] }));
  $("batch").addEventListener("change", (e) => changeTraining({ batch: Number(e.target.value) }));
  $("seed").addEventListener("change", (e) => changeTraining({ seed: e.target.valueAsNumber }));
  $("reseed").addEventListener("click", () => changeTraining({ seed: state.options.seed + 1 }));
}
