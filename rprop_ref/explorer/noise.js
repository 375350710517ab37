"use strict";
// Gradients as they are in training: with noise, or of a batch of the points. What evaluation k gets depends only on the
// seed and on k, so that all rules and methods get the same.

// Exact gradients, of all points.
const EXACT = { noise: 0, seed: 1, batch: 0 };

// Marsaglia's xorshift32: whole numbers from 1 to 2^32 - 1. `stream` makes several sequences of one seed.
function generator(seed, stream) {
  let s = Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream, 0x85ebca6b) || 1;
  const next = () => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return s >>> 0;
  };
  for (let i = 0; i < 8; i++) next();
  return next;
}

// Nearly normal: the sum of twelve uniform numbers, less its mean. Its variance is 1, and nothing is rounded.
function normal(next) {
  let sum = 0;
  for (let i = 0; i < 12; i++) sum += next();
  return sum / 4294967296 - 6;
}

const normals = (seed, count) => {
  const next = generator(seed, 1);
  return Array.from({ length: count }, () => [normal(next), normal(next)]);
};

// The batches of `count` evaluations: the points in random order, `size` at a time. Where fewer are left, a new round begins.
function batches(seed, size, points, count) {
  const next = generator(seed, 2), found = [];
  let order = [];
  while (found.length < count) {
    if (order.length < size) {
      order = points.map((_, i) => i);
      for (let i = order.length - 1; i > 0; i--) {
        const j = next() % (i + 1);
        [order[i], order[j]] = [order[j], order[i]];
      }
    }
    found.push(order.splice(0, size));
  }
  return found;
}

// The mean squared error of the line a + b t on some of the points, and its gradient.
function ofBatch(points, batch, [a, b]) {
  let value = 0, da = 0, db = 0;
  for (const i of batch) {
    const [t, y] = points[i], residual = a + b * t - y;
    value += residual * residual;
    da += 2 * residual;
    db += 2 * residual * t;
  }
  return [value / batch.length, [da / batch.length, db / batch.length]];
}

const usesBatches = (points, c) => c.batch > 0 && c.batch < points.length;
const isNoisy = (points, c) => c.noise > 0 || usesBatches(points, c);

// The functions, with `seen(x, k)`: the value and the gradient that a method gets at evaluation k. The unit of the noise is
// the length of each derivative at the start.
function disturbed(functions, points, c) {
  if (!isNoisy(points, c)) return functions;
  const { value, da, db, names } = functions, count = c.steps + 1;
  const chosen = usesBatches(points, c) ? batches(c.seed, c.batch, points, count) : null;
  const numbers = c.noise > 0 ? normals(c.seed, count) : null;
  const units = [da(...c.start), db(...c.start)].map((g) => (g !== 0 && Number.isFinite(g) ? Math.abs(g) : 1));
  if (names && names.length === 1) units[1] = 0;
  const seen = (x, k) => {
    const [f, g] = chosen ? ofBatch(points, chosen[k], x) : [value(x[0], x[1]), [da(x[0], x[1]), db(x[0], x[1])]];
    return [f, numbers ? g.map((v, i) => v + c.noise * units[i] * numbers[k][i]) : g];
  };
  return { ...functions, seen, batches: chosen };
}
