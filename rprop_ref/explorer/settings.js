"use strict";
// Everything that is set, as one plain object: how it is checked, and how it is written into the address and read back.

const NUMBERS = ["lr", "etaMinus", "etaPlus", "min", "max", "steps"];

const isWhole = (v) => Number.isInteger(v) && v >= 0 && v < 4294967296;

// What is wrong with the numbers of a run, in a sentence; "" if nothing is.
function wrongOptions(o) {
  const all = [...NUMBERS.map((key) => o[key]), ...o.start];
  return all.some(Number.isNaN) ? "Every field needs a number." :
    !(o.etaMinus > 0 && o.etaMinus < 1 && o.etaPlus > 1) ? "The factors must be 0 < \u03b7\u2212 < 1 < \u03b7+." :
    o.lr < 0 ? "The first step size must not be negative." :
    !(o.steps >= 1 && o.steps <= 5000 && Number.isInteger(o.steps)) ? "The number of iterations must be 1 to 5000." :
    !(o.noise >= 0 && o.noise <= 1000) ? "The noise must be 0 to 1000." :
    !isWhole(o.seed) || !isWhole(o.batch) ? "The seed and the size of a batch must be whole numbers." : "";
}

// Numbers are written with all their digits, so that a link shows the same bits.
function toLink(settings) {
  const { mode, objective, f, rule, lr, etaMinus, etaPlus, min, max, start, steps, race, bug, k } = settings;
  const parts = { mode, objective, ...(f === undefined ? {} : { f }), rule, lr, etas: [etaMinus, etaPlus], sizes: [min, max], start, steps };
  // What is about noise only where there is some.
  for (const [name, usual] of Object.entries(EXACT)) if (settings[name] !== usual) parts[name] = settings[name];
  if (mode === "race") {
    for (const [name, values] of Object.entries(race)) parts[name] = values.map((v) => (v === null ? "best" : v));
  }
  if (mode === "bug") parts.bug = bug;
  return new URLSearchParams({ ...parts, k }).toString();
}

const toNumber = (text) => (text.trim() === "" ? NaN : Number(text));

// The settings that an address asks for, the others as in `defaults(objective)`, and what is wrong with the address, in a
// sentence. `known` has the names of objectives and rules.
function fromLink(text, known, defaults) {
  const asked = new URLSearchParams(text);
  const problems = [];
  const one = (name, names, otherwise) => {
    if (!asked.has(name)) return otherwise;
    if (names.includes(asked.get(name))) return asked.get(name);
    problems.push(`The link asks for the ${name} "${asked.get(name)}", which this page does not have.`);
    return otherwise;
  };
  const settings = defaults(one("objective", known.objectives, undefined));
  if (asked.has("f")) settings.f = asked.get("f");
  settings.mode = one("mode", known.modes, settings.mode);
  settings.rule = one("rule", known.rules, settings.rule);
  const before = { ...settings };
  const read = (name, count) => {
    const numbers = asked.get(name).split(",").map(toNumber);
    return numbers.length === count ? numbers : Array(count).fill(NaN);
  };
  for (const name of ["lr", "steps", ...Object.keys(EXACT)]) if (asked.has(name)) [settings[name]] = read(name, 1);
  if (asked.has("etas")) [settings.etaMinus, settings.etaPlus] = read("etas", 2);
  if (asked.has("sizes")) [settings.min, settings.max] = read("sizes", 2);
  if (asked.has("start")) settings.start = read("start", 2);
  const wrong = wrongOptions(settings);
  if (wrong) {
    problems.push("The link has a wrong number. " + wrong);
    Object.assign(settings, before);
  }
  for (const [name, usual] of Object.entries(settings.race)) {
    if (!asked.has(name)) continue;
    const texts = asked.get(name).split(",");
    if (name === "hidden") settings.race.hidden = texts.filter((text) => known.runners.includes(text));
    else {
      const values = texts.map((text, i) => (i === 0 && text === "best" ? null : toNumber(text)));
      if (values.length === usual.length && !values.some(Number.isNaN)) settings.race[name] = values;
      else problems.push(`The link has wrong numbers for ${name}.`);
    }
  }
  const bug = asked.has("bug") ? read("bug", 1)[0] : 0;
  settings.bug = Number.isInteger(bug) && bug >= 0 && bug < known.bugs ? bug : 0;
  const k = asked.has("k") ? read("k", 1)[0] : 0;
  settings.k = Number.isInteger(k) ? Math.max(0, Math.min(settings.steps, k)) : 0;
  return { settings, problems };
}
