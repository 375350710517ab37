"use strict";
// The Rprop rules for one coordinate in double precision, and runs of two coordinates. Every operation is one of
// IEEE 754, in the order of rprop_ref/rules.py, so that the bits are the same.

// The events of a coordinate, in bits: as in rprop_ref/_core/events.py.
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

// Each rule: the next x and stored gradient, and the event of the move. `flip` says whether the product is negative,
// `shrinks` whether the factor is eta-.
const move = ({ x, g, newSize }, stored) => ({ x: x - sign(g) * newSize, prev: stored, event: 0 });
const undo = ({ x, prev, size }) => ({ x: x + sign(prev) * size, prev: 0, event: UNDONE });
const STEPS = {
  "rprop+": (s) => (s.flip ? undo(s) : move(s, s.g)),
  "rprop-": (s) => move(s, s.g),
  "irprop+": (s) => (!s.flip ? move(s, s.g) : s.worse ? undo(s) : { x: s.x, prev: 0, event: HELD }),
  // The sign of a zero gradient times the step size: NaN where the step size is infinite.
  "irprop-": (s) => (s.shrinks ? { x: s.x - 0 * s.newSize, prev: 0, event: HELD } : move(s, s.g)),
  "irprop-go": (s) => move(s, s.flip ? 0 : s.g),
};

// The text of each rule, line by line; each line has a test of whether an event took it.
const stepped = (e) => (e & MOVE) !== NO_STEP;
const grew = (e) => (e & CHANGE) === GREW;
const changed = (e) => (e & CHANGE) === SHRANK;
const ADAPTATION = [
  ["q = g \u00b7 prev", stepped],
  ["q > 0:  size = min(size \u00b7 \u03b7+, largest)", (e) => stepped(e) && grew(e)],
  ["q < 0:  size = max(size \u00b7 \u03b7\u2212, smallest)", (e) => stepped(e) && changed(e)],
];
const ifChanged = (text, test) => ["        " + text, (e) => stepped(e) && changed(e) && (!test || test(e))];
const otherwise = (text) => ["otherwise:  " + text, (e) => stepped(e) && !changed(e)];
const MOVED = "x = x \u2212 sign(g) \u00b7 size;  prev = g";
const LISTINGS = {
  "rprop+": [
    ...ADAPTATION, ifChanged("x = x + sign(prev) \u00b7 old size   (undo)"), ifChanged("prev = 0"), otherwise(MOVED),
  ],
  "rprop-": [...ADAPTATION, ["always:  " + MOVED, stepped]],
  "irprop+": [
    ...ADAPTATION, ifChanged("if f rose:  x = x + sign(prev) \u00b7 old size   (undo)", (e) => (e & MOVE) === UNDONE),
    ifChanged("if not:  x stays", (e) => (e & MOVE) === HELD), ifChanged("prev = 0"), otherwise(MOVED),
  ],
  "irprop-": [
    ...ADAPTATION, ifChanged("g = 0   (x stays; next step neutral)"), ["always:  " + MOVED, stepped],
  ],
  "irprop-go": [
    ...ADAPTATION, ["always:  x = x \u2212 sign(g) \u00b7 size", stepped], ifChanged("prev = 0"), otherwise("prev = g"),
  ],
};

function ofRule(table, rule) {
  if (!Object.hasOwn(table, rule)) throw new Error("there is no rule " + rule + " in rules.js");
  return table[rule];
}

const listing = (rule) => ofRule(LISTINGS, rule);

// One step. c has etaMinus, etaPlus, min and max; worse says whether the loss rose.
function step(rule, x, g, prev, size, worse, c) {
  const product = g * prev;
  const [factor, newSize] = adapt(product, size, c);
  const before = { x, g, prev, size, newSize, worse, flip: product < 0, shrinks: factor === c.etaMinus };
  const after = { ...ofRule(STEPS, rule)(before), size: newSize };
  if (product > 0) after.event |= GREW;
  else if (product < 0) after.event |= SHRANK;
  else if (product === 0 && g !== 0 && prev !== 0) after.event |= UNDERFLOW;
  if (newSize === c.min) after.event |= LOWER;
  if (newSize === c.max) after.event |= UPPER;
  after.event |= gradientBits(g);
  return after;
}

const gradientBits = (g) => (g === 0 ? ZERO : Number.isFinite(g) ? 0 : NOT_FINITE);

// The functions of (a, b) that an objective has as text.
function compile(objective) {
  const make = (text) => {
    const f = new Function("a", "b", "abs", "sign", "return " + text + ";");
    return (a, b) => f(a, b, Math.abs, sign);
  };
  return { value: make(objective.value), da: make(objective.da), db: make(objective.db) };
}

// What a method gets at evaluation k: the value and the gradient, exact ones if noise.js has not changed that.
const evaluate = (functions, x, k) => (functions.seen ? functions.seen(x, k) :
  [functions.value(x[0], x[1]), [functions.da(x[0], x[1]), functions.db(x[0], x[1])]]);

// A run: one row for each point and the step that was made from it. No step is made from the last point. `f` is the exact
// value, `seen` the one that the rule gets.
function run(functions, rule, c) {
  const rows = [];
  let x = [c.start[0], c.start[1]], prev = [0, 0], size = [c.lr, c.lr], last = Infinity;
  for (let k = 0; k <= c.steps; k++) {
    const [seen, g] = evaluate(functions, x, k);
    const f = functions.seen ? functions.value(x[0], x[1]) : seen;
    const row = { x: x, f: f, seen: seen, g: g, prev: prev, oldSize: size };
    rows.push(row);
    if (k === c.steps) {
      Object.assign(row, { size: size, event: g.map((v) => NO_STEP | gradientBits(v)) });
      break;
    }
    const worse = seen > last;
    const after = [0, 1].map((i) => step(rule, x[i], g[i], prev[i], size[i], worse, c));
    last = seen;
    x = after.map((coordinate) => coordinate.x);
    prev = after.map((coordinate) => coordinate.prev);
    size = after.map((coordinate) => coordinate.size);
    Object.assign(row, { size: size, event: after.map((coordinate) => coordinate.event) });
  }
  return rows;
}

if (typeof module !== "undefined") module.exports = { listing, step, compile, run };
