// An Rprop in JavaScript that the referee can talk to: iRprop- with double parameters.
//
//     python -m rprop_ref crosscheck --cmd "node rprop.js"
//
// The protocol is one JSON object per line, described in docs/crosscheck.md. Decimals are exact here, because
// JavaScript writes doubles so that reading gives the same number. NaN and the infinities are strings.
"use strict";

class Rprop {
  constructor({ x0, lr, etas, step_sizes: limits, maximize }) {
    Object.assign(this, { etas, limits, direction: maximize ? -1 : 1 });
    this.x = x0;
    this.prev = x0.map(() => 0);
    this.size = x0.map(() => lr);
  }

  set({ etas = this.etas, step_sizes: limits = this.limits }) {
    Object.assign(this, { etas, limits }); // lr is read only at the start
  }

  step(grad) {
    grad.forEach((value, i) => {
      let g = this.direction * value;
      const product = g * this.prev[i];
      const factor = product > 0 ? this.etas[1] : product < 0 ? this.etas[0] : 1;
      this.size[i] = Math.min(Math.max(this.size[i] * factor, this.limits[0]), this.limits[1]);
      if (product < 0) g = 0;
      this.x[i] -= ((g > 0) - (g < 0)) * this.size[i];
      this.prev[i] = g;
    });
  }
}

const words = { nan: NaN, inf: Infinity, "-inf": -Infinity };
const read = (value) =>
  Array.isArray(value) ? value.map(read) : typeof value === "string" ? Number(words[value] ?? value) : value;
const write = (value) =>
  Object.is(value, -0) ? "-0.0" : Number.isFinite(value) ? value
    : Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";

let rprop;
const answers = {
  hello: () => ({ protocol: 1, name: "rprop.js", dtypes: ["float64"], has: ["none", "set", "save"] }),
  new: (question) => { rprop = new Rprop(question); return {}; },
  set: (question) => { rprop.set(question); return {}; },
  save: () => ({ state: [rprop.prev.map(write), rprop.size.map(write)] }),
  load: ({ state }) => { [rprop.prev, rprop.size] = state; return {}; },
  step: ({ grad }) => {
    if (grad !== null) rprop.step(grad);
    return { x: rprop.x.map(write), prev: rprop.prev.map(write), step_size: rprop.size.map(write) };
  },
};

require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const question = JSON.parse(line);
  for (const name of ["x0", "lr", "etas", "step_sizes", "grad", "state"])
    if (name in question) question[name] = read(question[name]);
  if (question.op === "bye") process.exit(0);
  // With the id of the question, an answer cannot be mistaken for that to another question.
  console.log(JSON.stringify({ id: question.id, ...answers[question.op](question) }));
});
