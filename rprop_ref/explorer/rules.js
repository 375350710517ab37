"use strict";
// The five Rprop rules for one coordinate in double precision, and runs of two coordinates. Every operation is one of
// IEEE 754, in the order of rprop_ref/rules.py, so that the bits are the same.

const RULES = ["rprop+", "rprop-", "irprop+", "irprop-", "irprop-go"];

// What happened to a coordinate, in bits: as in rprop_ref/_events.py.
const GREW = 1, SHRANK = 2, UNDERFLOW = 3, CHANGE = 3;
const HELD = 4, UNDONE = 8, NO_STEP = 12, MOVE = 12;
const LOWER = 16, UPPER = 32, ZERO = 64, NOT_FINITE = 128;

const sign = (v) => (v > 0 ? 1 : v < 0 ? -1 : 0);

function adapt(product, size, c) {
  let factor = product > 0 ? c.etaPlus : product < 0 ? c.etaMinus : 1;
  if (factor === 0) factor = 1;
  size = size * factor;
  size = size >= c.min || size !== size ? size : c.min;
  size = size <= c.max || size !== size ? size : c.max;
  return [factor, size];
}

// One step; c has etaMinus, etaPlus, min and max; worse says whether the loss rose.
function step(rule, x, g, prev, size, worse, c) {
  const product = g * prev;
  const [factor, newSize] = adapt(product, size, c);
  const flip = product < 0;
  const moved = x - sign(g) * newSize;
  const undone = x + sign(prev) * size;
  const found = { x: moved, prev: g, size: newSize, event: 0 };
  if (rule === "irprop-") {
    if (factor === c.etaMinus) {
      // x - sign(0) * size: also where that is no number
      Object.assign(found, { x: x - 0 * newSize, prev: 0, event: HELD });
    }
  } else if (flip && rule !== "rprop-") {
    found.prev = 0;
    if (rule === "rprop+" || (rule === "irprop+" && worse)) Object.assign(found, { x: undone, event: UNDONE });
    else if (rule === "irprop+") Object.assign(found, { x: x, event: HELD });
  }
  if (product > 0) found.event |= GREW;
  else if (flip) found.event |= SHRANK;
  else if (product === 0 && g !== 0 && prev !== 0) found.event |= UNDERFLOW;
  if (newSize === c.min) found.event |= LOWER;
  if (newSize === c.max) found.event |= UPPER;
  if (g === 0) found.event |= ZERO;
  if (!Number.isFinite(g)) found.event |= NOT_FINITE;
  return found;
}

// An objective as functions of (a, b), from its texts.
function compile(objective) {
  const make = (text) => {
    const f = new Function("a", "b", "abs", "sign", "return " + text + ";");
    return (a, b) => f(a, b, Math.abs, sign);
  };
  return { value: make(objective.value), da: make(objective.da), db: make(objective.db) };
}

// A run: a row for each point, with the step that was made from it; the last made none.
function run(functions, rule, c) {
  const rows = [];
  let x = [c.start[0], c.start[1]], prev = [0, 0], size = [c.lr, c.lr], last = Infinity;
  for (let k = 0; k <= c.steps; k++) {
    const f = functions.value(x[0], x[1]);
    const g = [functions.da(x[0], x[1]), functions.db(x[0], x[1])];
    const row = { x: x, f: f, g: g, before: prev, from: size };
    rows.push(row);
    if (k === c.steps) {
      const other = (v) => (v === 0 ? ZERO : Number.isFinite(v) ? 0 : NOT_FINITE);
      Object.assign(row, { size: size, event: g.map((v) => NO_STEP | other(v)) });
      break;
    }
    const worse = f > last;
    const made = [0, 1].map((i) => step(rule, x[i], g[i], prev[i], size[i], worse, c));
    last = f;
    x = made.map((m) => m.x);
    prev = made.map((m) => m.prev);
    size = made.map((m) => m.size);
    Object.assign(row, { size: size, event: made.map((m) => m.event) });
  }
  return rows;
}

if (typeof module !== "undefined") module.exports = { RULES, step, compile, run };
