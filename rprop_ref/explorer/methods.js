"use strict";
// The methods that Rprop races against, and what one sees of a run, in words. Each uses + - * / and square roots only, so
// that its bits are defined. One step costs one evaluation of value and gradient, as a step of Rprop does.

// `parameters`: names and defaults; a rate of null is chosen from `RATES`. `step` changes the memory `m`, which begins as
// `memory`.
const METHODS = {
  gd: {
    title: "gradient descent", parameters: { rate: null }, memory: () => ({}),
    step: (x, g, m, [rate]) => x - rate * g,
  },
  momentum: {
    title: "momentum", parameters: { rate: null, "\u03b2": 0.9 }, memory: () => ({ v: 0 }),
    step(x, g, m, [rate, beta]) {
      m.v = beta * m.v + g;
      return x - rate * m.v;
    },
  },
  rmsprop: {
    title: "RMSprop", parameters: { rate: null, "\u03b1": 0.99 }, memory: () => ({ s: 0 }),
    step(x, g, m, [rate, alpha]) {
      m.s = alpha * m.s + (1 - alpha) * g * g;
      return x - (rate * g) / (Math.sqrt(m.s) + 1e-8);
    },
  },
  adam: {
    title: "Adam", parameters: { rate: null, "\u03b21": 0.9, "\u03b22": 0.999 },
    memory: () => ({ v: 0, s: 0, power1: 1, power2: 1 }),
    step(x, g, m, [rate, beta1, beta2]) {
      m.v = beta1 * m.v + (1 - beta1) * g;
      m.s = beta2 * m.s + (1 - beta2) * g * g;
      m.power1 = m.power1 * beta1;
      m.power2 = m.power2 * beta2;
      return x - (rate * (m.v / (1 - m.power1))) / (Math.sqrt(m.s / (1 - m.power2)) + 1e-8);
    },
  },
};
const RATES = [1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];

// A run: x and f at each evaluation.
function descend(functions, name, parameters, { start, steps }) {
  const { memory, step: next } = METHODS[name];
  const memories = start.map(memory);
  const rows = [];
  let x = [...start];
  for (let k = 0; k <= steps; k++) {
    rows.push({ x, f: functions.value(...x) });
    const [, g] = evaluate(functions, x, k);
    x = x.map((v, i) => next(v, g[i], memories[i], parameters));
  }
  return rows;
}

// The one of RATES that ends lowest.
function bestRate(functions, name, parameters, options) {
  let best = RATES[0], lowest = Infinity;
  for (const rate of RATES) {
    const { f } = descend(functions, name, [rate, ...parameters.slice(1)], options).at(-1);
    if (f < lowest) [best, lowest] = [rate, f];
  }
  return best;
}

// The first evaluation at which a millionth of the height at the start is left, and with noise, from which no more is left;
// -1 if there is none.
function arrival(rows, lowest, noisy = false) {
  const goal = lowest + 1e-6 * (rows[0].f - lowest);
  const first = noisy ? rows.findLastIndex((row) => !(row.f <= goal)) + 1 : rows.findIndex((row) => row.f <= goal);
  return first < rows.length ? first : -1;
}

// What happened in a run: whether it diverged, and the share of moves that go back against the move before.
function facts(rows) {
  const moves = rows.slice(1).map((row, k) => row.x.map((v, i) => v - rows[k].x[i]));
  const back = moves.slice(1).filter((move, k) => move[0] * moves[k][0] + move[1] * moves[k][1] < 0).length;
  const last = rows.at(-1).f;
  return { diverged: !(last <= rows[0].f), back: back / Math.max(1, moves.length - 1) };
}

const SENTENCES = {
  gd: ({ diverged, back }, arrived) =>
    diverged ? "overshoots more with every step: its rate is too large for the steepest direction." :
    back > 0.3 && arrived < 0 ? "zigzags: its rate must suit the steepest direction, and is too small for the others." :
    arrived < 0 ? "creeps: its rate must suit the steepest direction, and where the gradient is short, so are its steps." :
    "arrives: this rate suits both variables.",
  momentum: ({ diverged }, arrived) =>
    diverged ? "overshoots more with every step: its rate is too large." :
    arrived < 0 ? "adds up its moves: zigzags cancel, and it is faster along the valley, but it has not arrived." :
    "adds up its moves: zigzags cancel, and it gathers speed; it swings past the minimum and back.",
  rmsprop: (_, arrived) =>
    "is Rprop's heir: it divides the gradient by its usual size, so that the length does not count, and averages over " +
    "steps, so that mini-batches may be used. " + (arrived >= 0 ? "It arrives." :
      "Its steps do not shrink at a change of sign: near the minimum they stay about as long as its rate."),
  adam: (_, arrived) => "is RMSprop with momentum" + (arrived >= 0 ? ": it swings around the minimum before it rests." :
    "; it has not arrived: its rate limits how far a step goes."),
  lbfgs: (_, arrived) => "learns the curvature from the last gradients, and jumps; it needs exact, smooth gradients" +
    (arrived < 0 ? ", which it does not have here." : "."),
};
// The same where gradients are noisy.
const NOISY_SENTENCES = {
  gd: () => "averages the noise over its many small steps; how near it comes, and how soon, depends on its rate.",
  momentum: () => "adds up many gradients, in which the noise cancels in part.",
  rmsprop: () => "divides by an average over many steps, so that noise does not make its steps shrink for good.",
  adam: () => "averages gradients and their squares, in which the noise cancels in part; its steps do not shrink for good.",
};
const ofNoisyRprop = (collapsed) => (collapsed ?
  "takes a change of sign that noise made for a minimum that it jumped over: its step sizes have collapsed." :
  "counts the signs of noise like those of the slope; its step sizes have not collapsed.");
const ofRprop = ({ back }, arrived) => "gives each variable a step size of its own, and has no rate to choose" + (
  arrived >= 0 ? "." :
  back > 0.2 ? "; here the variables depend on each other, so signs keep changing." : "; it has not arrived.");
