"use strict";
// A function of one or two variables, typed as text: parsed by recursive descent, and differentiated in forward mode.
//
//   sum     = product (("+" | "-") product)*
//   product = signed (("*" | "/") signed)*
//   signed  = ("+" | "-") signed | power
//   power   = atom (("^" | "**") signed)?
//   atom    = number | variable | constant | function "(" sum ("," sum)* ")" | "(" sum ")"
//
// Each part becomes a node: `value(a, b)`, and `dual(a, b)`, the value with both derivatives.

const LONGEST_TEXT = 500, DEEPEST = 60;
const PAIRS = [["a", "b"], ["x", "y"]];
const CONSTANTS = { pi: Math.PI, e: Math.E };

// The number of arguments, the value, and the derivative by each argument.
const FUNCTIONS = {
  abs: [1, Math.abs, [Math.sign]],
  sign: [1, Math.sign, [() => 0]],
  sqrt: [1, Math.sqrt, [(u) => 0.5 / Math.sqrt(u)]],
  exp: [1, Math.exp, [Math.exp]],
  log: [1, Math.log, [(u) => 1 / u]],
  sin: [1, Math.sin, [Math.cos]],
  cos: [1, Math.cos, [(u) => -Math.sin(u)]],
  tan: [1, Math.tan, [(u) => 1 + Math.tan(u) * Math.tan(u)]],
  tanh: [1, Math.tanh, [(u) => 1 - Math.tanh(u) * Math.tanh(u)]],
  min: [2, Math.min, [(u, v) => (u <= v ? 1 : 0), (u, v) => (u <= v ? 0 : 1)]],
  max: [2, Math.max, [(u, v) => (u >= v ? 1 : 0), (u, v) => (u >= v ? 0 : 1)]],
};
const OPERATORS = {
  "+": [2, (u, v) => u + v, [() => 1, () => 1]],
  "-": [2, (u, v) => u - v, [() => 1, () => -1]],
  "*": [2, (u, v) => u * v, [(u, v) => v, (u) => u]],
  "/": [2, (u, v) => u / v, [(u, v) => 1 / v, (u, v) => -(u / v) / v]],
  "^": [2, power, [(u, v) => v * power(u, v - 1), (u, v) => power(u, v) * Math.log(u)]],
};

// Small whole exponents by multiplication, so that these bits are defined.
function power(u, v) {
  if (!Number.isInteger(v) || Math.abs(v) > 32) return Math.pow(u, v);
  let product = 1;
  for (let i = 0; i < Math.abs(v); i++) product *= u;
  return v < 0 ? 1 / product : product;
}

class TextError extends Error {
  constructor(message, position) {
    super(message);
    this.position = position;
  }
}

// A slope may be infinite where what it is multiplied by is 0, as for sqrt at 0: nothing changes there.
const chain = (slope, change) => (change === 0 ? 0 : slope() * change);

function node([, f, slopes], parts) {
  if (parts.length === 1) {
    const [part] = parts, [slope] = slopes;
    const dual = (a, b) => {
      const [u, da, db] = part.dual(a, b);
      return [f(u), chain(() => slope(u), da), chain(() => slope(u), db)];
    };
    return { value: (a, b) => f(part.value(a, b)), dual };
  }
  const [left, right] = parts, [byLeft, byRight] = slopes;
  const dual = (a, b) => {
    const u = left.dual(a, b), v = right.dual(a, b);
    const change = (i) => chain(() => byLeft(u[0], v[0]), u[i]) + chain(() => byRight(u[0], v[0]), v[i]);
    return [f(u[0], v[0]), change(1), change(2)];
  };
  return { value: (a, b) => f(left.value(a, b), right.value(a, b)), dual };
}

const constantNode = (v) => ({ value: () => v, dual: () => [v, 0, 0] });

function tokens(text) {
  const pattern = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(\*\*|[-+*/^(),]))/y;
  const found = [];
  while (pattern.lastIndex < text.trimEnd().length) {
    const start = pattern.lastIndex, match = pattern.exec(text);
    if (!match) {
      const position = start + text.slice(start).search(/\S/);
      throw new TextError(`"${String.fromCodePoint(text.codePointAt(position))}" has no meaning here`, position);
    }
    const [whole, number, name, sign_] = match;
    found.push({ number, name, sign: sign_ === "**" ? "^" : sign_, position: start + whole.length - whole.trimStart().length });
  }
  return found;
}

// The function of a text: `names` of its variables, and `value`, `da` and `db` of (a, b), as `compile` makes them.
// With one variable, that is a, and b does not matter. A text that is not in the grammar is a TextError.
function parse(text) {
  if (text.length > LONGEST_TEXT) throw new TextError(`a function may have ${LONGEST_TEXT} characters`, LONGEST_TEXT);
  const list = tokens(text), end = { position: text.trimEnd().length };
  const used = list.filter(({ name }) => PAIRS.flat().includes(name));
  const names = [...new Set(used.map(({ name }) => name))].sort();
  const pair = PAIRS.find((two) => two.includes(names[0])) || PAIRS[0];
  let i = 0, depth = 0;
  const next = () => list[i] || end;
  const take = (...signs) => (signs.includes(next().sign) ? list[i++].sign : "");
  const need = (sign_) => { if (!take(sign_)) throw new TextError(`expected "${sign_}"`, next().position); };

  function sum() {
    let left = product();
    for (let sign_; (sign_ = take("+", "-"));) left = node(OPERATORS[sign_], [left, product()]);
    return left;
  }
  function product() {
    let left = signed();
    for (let sign_; (sign_ = take("*", "/"));) left = node(OPERATORS[sign_], [left, signed()]);
    return left;
  }
  function signed() {
    if (++depth > DEEPEST) throw new TextError("this is nested too deeply", next().position);
    const sign_ = take("+", "-");
    const part = sign_ ? signed() : powered();
    depth--;
    return sign_ === "-" ? node([1, (u) => -u, [() => -1]], [part]) : part;
  }
  function powered() {
    const base = atom();
    return take("^") ? node(OPERATORS["^"], [base, signed()]) : base;
  }
  function atom() {
    const { number, name, position } = next();
    if (number !== undefined) {
      i++;
      return constantNode(Number(number));
    }
    if (name !== undefined) {
      i++;
      return named(name, position);
    }
    if (take("(")) {
      const inside = sum();
      need(")");
      return inside;
    }
    throw new TextError("expected a number, a variable, a function or a parenthesis", position);
  }
  function named(name, position) {
    if (Object.hasOwn(FUNCTIONS, name)) {
      need("(");
      const parts = [sum()];
      while (parts.length < FUNCTIONS[name][0]) {
        need(",");
        parts.push(sum());
      }
      need(")");
      return node(FUNCTIONS[name], parts);
    }
    if (Object.hasOwn(CONSTANTS, name)) return constantNode(CONSTANTS[name]);
    if (!PAIRS.flat().includes(name)) {
      const known = [...Object.keys(FUNCTIONS), ...Object.keys(CONSTANTS)].join(", ");
      throw new TextError(`"${name}" is unknown; known are the variables a and b, or x and y, and ${known}`, position);
    }
    if (!pair.includes(name)) throw new TextError("the variables must be a and b, or x and y", position);
    return names.indexOf(name) === 0 ?
      { value: (a) => a, dual: (a) => [a, 1, 0] } :
      { value: (_, b) => b, dual: (_, b) => [b, 0, 1] };
  }

  const whole = sum();
  if (i < list.length) throw new TextError("expected an operator", next().position);
  if (!names.length) throw new TextError("the function needs a variable: a and b, or x and y", end.position);
  return { names, value: whole.value, da: (a, b) => whole.dual(a, b)[1], db: (a, b) => whole.dual(a, b)[2] };
}
