"use strict";
// The modes "predict" and "bug": questions about a run, and what is said about the answers.

// The rules by level: each adds something to the one before.
const LEVELS = ["rprop-", "rprop+", "irprop-", "irprop-go", "irprop+"].filter((rule) => RULE_NAMES.includes(rule));
const TO_PASS = 5;
const BUG_LETTERS = "ABCDEF";

// ------------------------------------------------------------------------------------------------------
// Predict

const askedCoordinate = () => state.k % state.names.length;

function drawPrediction() {
  const rows = state.runs[state.rule], row = rows[state.k], i = askedCoordinate(), atEnd = state.k >= state.options.steps;
  const before = rows[state.k - 1];
  const lines = [
    ["x", show(row.x[i])], ["gradient g", show(row.g[i])], ["stored gradient", show(row.prev[i])],
    ["step size before", show(row.oldSize[i])], ["f", show(row.seen)], ["f before", before ? show(before.seen) : "\u2013"],
  ];
  $("predict-cells").replaceChildren(...lines.map(([name, value]) => {
    const line = element("tr", "");
    line.append(element("td", name), element("td", value));
    return line;
  }));
  $("predict-name").textContent = state.names[i];
  $("predict-check").disabled = atEnd;
  const key = [state.objective.name, state.rule, state.k, JSON.stringify(state.options)].join();
  if (key !== state.question) {
    state.question = key;
    state.answered = false;
    $("predict-form").reset();
    $("predict-said").textContent = atEnd ? "The run ends here." : "";
  }
  drawScore();
}

function drawScore() {
  const level = LEVELS.indexOf(state.rule), { right = 0, asked = 0, inARow = 0 } = state.score[state.rule] || {};
  const next = LEVELS[level + 1];
  const heading = level < 0 ? "" : `Level ${level + 1} of ${LEVELS.length}, `;
  $("predict-score").textContent = `${heading}${state.rule}: ${right} of ${asked} right.`;
  $("predict-next").hidden = !(inARow >= TO_PASS && next);
  $("predict-next").textContent = `Next level: ${next}`;
}

function checkPrediction() {
  const rows = state.runs[state.rule], i = askedCoordinate();
  const right = solution(rows[state.k], rows[state.k + 1], i, state.options);
  const given = {
    adaptation: $("predict-adaptation").value, move: $("predict-move").value,
    size: $("predict-size").valueAsNumber, x: $("predict-x").valueAsNumber,
  };
  const wrong = mistake(given, right);
  if (wrong && wrong.empty) {
    $("predict-said").textContent = `Fill in ${wrong.what}.`;
    return;
  }
  // Only the first answer to a question counts.
  if (!state.answered) {
    const { right: n = 0, asked = 0, inARow = 0 } = state.score[state.rule] || {};
    state.score[state.rule] = { right: n + !wrong, asked: asked + 1, inARow: wrong ? 0 : inARow + 1 };
    state.answered = true;
  }
  const verdict = wrong ? `Step ${state.k + 1}, ${wrong.what}: ${wrong.given} is not right.` : "Right.";
  $("predict-said").textContent = `${verdict} ${right.words}`;
  drawScore();
}

// ------------------------------------------------------------------------------------------------------
// Find the bug

function computeBug() {
  state.right = brokenRun(state.functions, "", state.options);
  state.broken = brokenRun(state.functions, DATA.bugs[state.bug].name, state.options);
  $("bug-program").value = state.bug;
  $("bug-said").textContent = "";
}

function bugPicture() {
  const walked = (rows) => rows.slice(0, state.k + 1).map(pointOf);
  return {
    paths: [
      { points: walked(state.right), colour: DATA.rules["irprop-"].colour, dash: [], alpha: 1, width: 2.5 },
      { points: walked(state.broken), colour: style("--fore"), dash: [4, 4], alpha: 1, width: 1.6 },
    ],
    dots: walked(state.broken).map((point) => [...point, style("--fore")]),
    here: pointOf(state.right[state.k]),
  };
}

function drawBug() {
  const lines = [];
  for (let k = Math.max(0, state.k - 5); k <= state.k; k++) {
    state.names.forEach((name, i) => {
      const numbers = [state.right, state.broken].flatMap((rows) => [rows[k].x[i], rows[k].size[i]]);
      lines.push([i ? "" : k || "start", name, ...numbers.map((v) => short(v, 5))]);
    });
  }
  $("bug-cells").replaceChildren(...lines.map((cells) => {
    const line = element("tr", "");
    line.append(...cells.map((text) => element("td", text)));
    return line;
  }));
}

function askReferee() {
  const step = $("bug-step").valueAsNumber, named = $("bug-mistake").value, bug = DATA.bugs[state.bug];
  const first = firstDifference(state.broken, state.right);
  const same = `In these ${state.options.steps} steps it does what the rule does. Try another objective or other numbers.`;
  const said = !first ? same :
    Number.isNaN(step) || named === "" ? "Fill in the step, and choose the mistake." :
    step > first ? `They differ before step ${step}.` :
    step < first ? `After step ${step} both are at the same x.` :
    named === bug.name ? `Right. The referee: ${bug.does} To agree: ${bug.remedy}` :
    refute(named, first);
  $("bug-said").textContent = said;
}

function refute(named, first) {
  const other = brokenRun(state.functions, named, state.options), differs = firstDifference(other, state.right);
  if (differs !== first) {
    const where = differs ? `in step ${differs}` : "after these steps";
    return `Step ${first} is right, but with that mistake the first difference would be ${where}.`;
  }
  const k = firstDifference(other, state.broken);
  if (!k) return "Step and x are right; another mistake does the same in all these steps. Try other numbers.";
  return `Step ${first} is right, but with that mistake x after step ${k} would be ${other[k].x.map(show).join(", ")}, ` +
    `not ${state.broken[k].x.map(show).join(", ")}.`;
}

function beginClassroom() {
  state.score = {};
  $("predict-form").addEventListener("submit", (e) => {
    e.preventDefault();
    checkPrediction();
  });
  $("predict-on").addEventListener("click", () => go(state.k + 1));
  $("predict-next").addEventListener("click", () => {
    setRule(LEVELS[LEVELS.indexOf(state.rule) + 1]);
    go(0);
  });
  $("bug-program").append(...DATA.bugs.map((_, i) => Object.assign(element("option", BUG_LETTERS[i]), { value: i })));
  const sentences = DATA.bugs.map(({ name, does }) => Object.assign(element("option", does), { value: name }));
  sentences.sort((a, b) => (a.textContent < b.textContent ? -1 : 1));
  $("bug-mistake").append(...sentences);
  $("bug-program").addEventListener("change", (e) => {
    state.bug = Number(e.target.value);
    $("bug-form").reset();
    computeBug();
    go(0);
  });
  $("bug-form").addEventListener("submit", (e) => {
    e.preventDefault();
    askReferee();
  });
}
