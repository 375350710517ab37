"use strict";
// LESSON has the address of Pyodide, the packages to load, the code that runs cells, and the wheel of rprop_ref.

let python = null;

const part = (id) => document.getElementById(id);
const say = (text) => { part("said").textContent = text; };
const buttons = () => [part("all"), ...document.querySelectorAll(".cell button")];

async function start() {
  part("start").disabled = true;
  say("Loading Python ...");
  try {
    const folder = new URL(LESSON.pyodide, location.href).href;
    const { loadPyodide } = await import(folder + "pyodide.mjs");
    const started = await loadPyodide({ indexURL: folder });
    const problems = [];
    await started.loadPackage(LESSON.packages, { messageCallback: say, errorCallback: (text) => problems.push(text) });
    const missing = LESSON.packages.filter((name) => !(name in started.loadedPackages));
    if (missing.length) throw new Error(`The packages ${missing.join(", ")} could not be loaded. ${problems.join(" ")}`);
    const wheel = Uint8Array.from(atob(LESSON.wheel), (c) => c.charCodeAt(0));
    started.unpackArchive(wheel, "wheel");
    started.FS.writeFile("cells.py", LESSON.cells);
    started.runPython("import sys; sys.path.insert(0, '.'); from cells import run_cell");
    python = started;
    for (const button of buttons()) button.disabled = false;
    say("Python is ready.");
  } catch (error) {
    say(`Python could not be started: ${error.message} It is loaded from ${LESSON.pyodide}, which needs a connection.`);
    part("start").disabled = false;
  }
}

async function runCell(cell) {
  const output = cell.querySelector(".output");
  output.replaceChildren();
  say("Running ...");
  // Let the browser show that before Python takes the thread.
  await new Promise((go) => setTimeout(go, 20));
  const source = cell.querySelector("textarea").value;
  const runs = python.globals.get("run_cell");
  for (const [kind, content] of JSON.parse(runs(source))) {
    const shown = document.createElement(kind === "html" ? "div" : "pre");
    shown.className = kind;
    if (kind === "html") shown.innerHTML = content;
    else shown.textContent = content;
    output.append(shown);
  }
  // So that keys can scroll it.
  if (output.scrollWidth > output.clientWidth) output.tabIndex = 0;
  else output.removeAttribute("tabindex");
  runs.destroy();
  say("Python is ready.");
}

const all = () => [...document.querySelectorAll(".cell")];

part("start").addEventListener("click", start);
part("all").addEventListener("click", async () => { for (const cell of all()) await runCell(cell); });
for (const cell of all()) {
  cell.querySelector("button").addEventListener("click", () => runCell(cell));
  cell.querySelector("textarea").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.shiftKey) return;
    event.preventDefault();
    if (python) runCell(cell);
    else say("Start Python first.");
  });
}
