"use strict";
// Exercises: an answer about the next step, checked in the words of `step_table`, and six broken Rprops.

const TOLERANCE = 1e-3;
const agrees = (given, right) => Math.abs(given - right) <= TOLERANCE * Math.abs(right) + 1e-9;

// As Python's format "g" writes it, which `step_table` uses.
function plain(v) {
  if (v === 0) return "0";
  const size = Math.abs(v);
  if (size >= 1e-4 && size < 1e6) return String(Number(v.toPrecision(6)));
  return v.toExponential(5).replace(/\.?0+e/, "e").replace(/e([+-])(\d)$/, "e$10$2");
}

const adaptationOf = (e) => (grew(e) ? "grew" : changed(e) ? "shrank" : "kept");
const moveOf = (e) => ((e & MOVE) === HELD ? "held" : (e & MOVE) === UNDONE ? "undone" : "made");

// What is right for coordinate i of a row, and the step in words.
function solution(row, next, i, c) {
  const e = row.event[i], g = row.g[i], prev = row.prev[i], before = row.oldSize[i], size = row.size[i], x = row.x[i];
  const kind = moveOf(e);
  const move = kind === "made" ? -sign(g) * size : kind === "undone" ? sign(prev) * before : 0;
  const branch = grew(e) ? "same sign" : changed(e) ? "sign changed" :
    (e & CHANGE) === UNDERFLOW ? "product underflows" : "first or neutral";
  const factor = grew(e) ? c.etaPlus : changed(e) ? c.etaMinus : null;
  const adaptation = (factor === null ? `the step size stays ${plain(size)}` :
    `the step size is ${plain(before)} * ${plain(factor)} = ${plain(size)}`) + (e & (LOWER | UPPER) ? " after the clamp" : "");
  const moved = {
    made: `the move goes against the sign of the gradient: ${plain(move)}`,
    held: "this rule stays where it is",
    undone: `this rule takes the last move back: ${plain(move)}`,
  }[kind];
  const words_ = `The product is ${plain(g)} * ${plain(prev)} = ${plain(g * prev)}: ${branch}; ${adaptation}; ${moved}; ` +
    `x is ${plain(x)} + ${plain(move)} = ${plain(next.x[i])}.`;
  return { adaptation: adaptationOf(e), move: kind, size, x: next.x[i], words: words_ };
}

// The first answer that is wrong or missing; null if all are right.
function mistake(given, right) {
  const called = { adaptation: "the step size", move: "the move", size: "the new step size", x: "the next x" };
  for (const key of Object.keys(called)) {
    const answer = given[key];
    if (answer === "" || Number.isNaN(answer)) return { empty: true, what: called[key] };
    const isRight = typeof answer === "number" ? agrees(answer, right[key]) : answer === right[key];
    if (!isRight) return { empty: false, what: called[key], given: answer };
  }
  return null;
}

// iRprop- with one mistake, by the name that the referee gives it; one coordinate. A name it does not know is no mistake.
function brokenStep(bug, x, g, prev, size, c, isFirst) {
  const stored = bug === "memory starts as the first gradient" && isFirst ? g : prev;
  const product = g * stored;
  const grows = product > 0 || (bug === "a zero product grows" && product === 0), shrinks = product < 0;
  const newSize = Math.min(Math.max(size * (grows ? c.etaPlus : shrinks ? c.etaMinus : 1), c.min), c.max);
  const length = bug === "adapts after the move" ? size : newSize;
  const direction = shrinks && bug !== "moves on at a flip" ? 0 : sign(g);
  const kept = { "memory kept at a flip": g, "memory not updated at a flip": stored };
  return { x: x - direction * length, prev: !shrinks ? g : Object.hasOwn(kept, bug) ? kept[bug] : 0, size: newSize };
}

// A run of it: x, step sizes and f, before each step and after the last one.
function brokenRun(functions, bug, c) {
  let coordinates = c.start.map((x) => ({ x, prev: 0, size: c.lr }));
  const rows = [];
  for (let k = 0; k <= c.steps; k++) {
    const x = coordinates.map((one) => one.x);
    rows.push({ x, size: coordinates.map((one) => one.size), f: functions.value(...x) });
    const [, g] = evaluate(functions, x, k);
    coordinates = coordinates.map((one, i) => brokenStep(bug, one.x, g[i], one.prev, one.size, c, k === 0));
  }
  return rows;
}

// The first step, counted from 1, after which two runs differ in x; 0 if there is none.
function firstDifference(rows, others) {
  return Math.max(0, rows.findIndex((row, k) => row.x.some((v, i) => !Object.is(v, others[k].x[i]))));
}
