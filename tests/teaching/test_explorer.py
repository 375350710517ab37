"""The explorer: its JavaScript against the oracle, in node; its page in Chromium; `explain` on the command line."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import naive
import noise_twin
import numpy as np
import other_methods
import pytest
from cases import sampled

from rprop_ref import Trace, cli, crosscheck, explorer, rules
from rprop_ref._core import events as _events
from rprop_ref.bits import same_bits
from rprop_ref.crosscheck._stages.deviations import DEVIATIONS
from rprop_ref.objectives import OBJECTIVES, Objective

#: An objective that is not part of the package.
MINE = Objective(
    "mine",
    "a test",
    value="a * a + 50 * (b - a * a * a) * (b - a * a * a)",
    da="2 * a - 300 * a * a * (b - a * a * a)",
    db="100 * (b - a * a * a)",
    start=(-1.0, 1.0),
    lr=0.05,
    window=(-1.5, 1.5, -1.5, 1.5),
    minimum=(0.0, 0.0),
)

HERE = Path(explorer.__file__).parent
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node, to run JavaScript")

#: Runs cases in node. Numbers are passed as the hexadecimal digits of their bits.
CHECK = """
const { listing, step, compile, run } = require(process.argv[2]);
const view = new DataView(new ArrayBuffer(8));
const number = (h) => (view.setBigUint64(0, BigInt("0x" + h)), view.getFloat64(0));
const bits = (v) => (v !== v ? "nan" : (view.setFloat64(0, v), view.getBigUint64(0).toString(16).padStart(16, "0")));
const message = (f) => { try { f(); } catch (error) { return error.message; } };
const { steps, runs, unknown } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const out = { steps: [], runs: [] };
out.unknown = unknown.map((rule) => [message(() => step(rule, 0, 1, 1, 1, false, {})), message(() => listing(rule))]);
for (const { rule, worse, values } of steps) {
  const [x, g, prev, size, etaMinus, etaPlus, min, max] = values.map(number);
  const after = step(rule, x, g, prev, size, worse, { etaMinus, etaPlus, min, max });
  out.steps.push([bits(after.x), bits(after.prev), bits(after.size), after.event]);
}
for (const { objective, rule, options } of runs) {
  out.runs.push(run(compile(objective), rule, options).map((row) => [
    ...row.x.map(bits), bits(row.f), ...row.size.map(bits), ...row.event]));
}
console.log(JSON.stringify(out));
"""


def bits(v):
    return "nan" if math.isnan(v) else struct.pack(">d", v).hex()


def number(v):
    """The bits of any double, NaN included."""
    return struct.pack(">d", v).hex()


def in_node(tmp_path, **cases):
    (tmp_path / "check.cjs").write_text(CHECK)
    (tmp_path / "rules.cjs").write_text((HERE / "rules.js").read_text())
    done = subprocess.run(
        [NODE, tmp_path / "check.cjs", tmp_path / "rules.cjs"],
        input=json.dumps({"steps": [], "runs": [], "unknown": [], **cases}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pick(rng, values):
    """One of the values, or a random number."""
    return rng.choice(values) if rng.random() < 0.5 else rng.normal() * 10.0 ** rng.integers(-8, 8)


def javascript(tmp_path, names, code, data=None):
    """Run scripts of the page, and then `code`, which may read `data` and returns what comes back."""
    sources = [(HERE / name).read_text() for name in names]
    given = 'const data = JSON.parse(require("fs").readFileSync(0, "utf8"));'
    file = tmp_path / "together.cjs"
    file.write_text("\n".join([*sources, given, f"console.log(JSON.stringify((() => {{ {code} }})()));"]))
    done = subprocess.run(
        [NODE, file], input=json.dumps(data), capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    # JavaScript has one kind of number, and writes large ones without a point.
    return json.loads(done.stdout, parse_int=float)


#: What a link leaves out is as here.
DEFAULTS = {
    "rule": "irprop-",
    "lr": 0.05,
    "etaMinus": 0.5,
    "etaPlus": 1.2,
    "min": 1e-6,
    "max": 50,
    "start": [1, 2],
    "steps": 200,
    "noise": 0,
    "seed": 1,
    "batch": 0,
    "mode": "watch",
    "bug": 0,
    "race": {"hidden": [], "gd": [None], "momentum": [None, 0.9], "adam": [None, 0.9, 0.999]},
}

LINKS = ["noise.js", "settings.js"]
READ = """
const known = { modes: ["watch", "race"], objectives: ["rosenbrock", "bowl"], rules: ["rprop+", "irprop-"],
  runners: ["rprop+", "irprop-", "gd"], bugs: 6 };
const read = (text) => fromLink(text, known, (objective = "bowl") => ({ objective, ...structuredClone(data.defaults) }));
"""


@needs_node
class TestLinks:
    def test_a_link_gives_back_every_number_to_the_bit(self, tmp_path, rng):
        def settings():
            return {
                "mode": "race",
                "bug": 0,
                "race": {
                    "hidden": ["rprop+", "gd"][: rng.integers(3)],
                    "gd": [None if rng.random() < 0.5 else float(rng.random())],
                    "momentum": [None, float(rng.random())],
                    "adam": rng.random(3).tolist(),
                },
                "objective": "rosenbrock",
                "f": "(1-a)^2 & b=c#%20+ \u00e9",
                "rule": "rprop+",
                "lr": float(rng.random() * 10.0 ** rng.integers(-300, 300)),
                "etaMinus": float(rng.random()) or 0.5,
                "etaPlus": float(1 + rng.random()) or 1.5,
                "min": float(rng.normal()),
                "max": float(10.0 ** rng.integers(-5, 300)),
                "start": rng.normal(size=2).tolist(),
                "steps": int(rng.integers(50, 5000)),
                "k": int(rng.integers(50)),
                "noise": float(rng.choice([0, 0.01, rng.random()])),
                "seed": int(rng.choice([1, rng.integers(1 << 32)])),
                "batch": int(rng.integers(3)),
            }

        cases = [settings() for _ in range(500)]
        code = READ + "return data.cases.map((settings) => read(toLink(settings)));"
        given_back = javascript(tmp_path, LINKS, code, {"cases": cases, "defaults": DEFAULTS})
        for case, back in zip(cases, given_back):
            assert back == {"settings": case, "problems": []}

    @pytest.mark.parametrize(
        ("link", "problem"),
        [
            ("objective=nonsense", 'asks for the objective "nonsense", which this page does not have'),
            ("rule=__proto__", 'asks for the rule "__proto__"'),
            ("lr=", "Every field needs a number"),
            ("etas=0.5", "Every field needs a number"),
            ("etas=0.5,0.9", "The factors must be"),
            ("start=1,x", "Every field needs a number"),
            ("gd=0.1,0.2", "wrong numbers for gd"),
            ("adam=best,best,0.9", "wrong numbers for adam"),
            ("mode=fly", 'asks for the mode "fly"'),
            ("steps=1e9", "The number of iterations must be 1 to 5000"),
            ("noise=-1", "The noise must be 0 to 1000"),
            ("noise=much", "The noise must be 0 to 1000"),
            ("seed=1.5", "The seed and the size of a batch must be whole numbers"),
            ("seed=4294967296", "The seed and the size of a batch must be whole numbers"),
            ("batch=-4", "The seed and the size of a batch must be whole numbers"),
        ],
    )
    def test_a_wrong_part_is_named_and_left_out(self, tmp_path, link, problem):
        code = READ + "return read(data.link);"
        back = javascript(tmp_path, LINKS, code, {"link": link, "defaults": DEFAULTS})
        assert problem in back["problems"][0]
        assert back["settings"] == {"objective": "bowl", **DEFAULTS, "k": 0}

    def test_the_links_of_the_site_ask_for_what_there_is(self, tmp_path):
        pages = "".join(page.read_text() for page in (HERE.parents[1] / "docs").glob("*.md"))
        links = re.findall(r"explorer\.html#([^)\"]+)[)\"]", pages)
        assert len(links) > 10
        code = """
            return data.links.map((text) => fromLink(text, data.known, () => structuredClone(data.defaults)).problems);
        """
        (modes,) = re.findall(r"^const MODES = (.*);", (HERE / "page.js").read_text(), re.M)
        objectives = [*OBJECTIVES, "your own"]
        known = {
            "modes": json.loads(modes),
            "objectives": objectives,
            "rules": list(rules.RULES),
            "runners": [],
            "bugs": 6,
        }
        data = {"known": known, "links": links, "defaults": DEFAULTS}
        assert javascript(tmp_path, LINKS, code, data) == [[]] * len(links)

    def test_any_text_gives_settings_that_can_be_shown(self, tmp_path, rng):
        parts = [
            "objective",
            "rule",
            "lr",
            "etas",
            "steps",
            "noise",
            "seed",
            "batch",
            "k",
            "=",
            "&",
            "%",
            "%zz",
            ",",
            "1",
            "-1",
            "NaN",
            "1e400",
        ]
        texts = ["".join(rng.choice(parts, rng.integers(1, 12))) for _ in range(2000)]
        code = (
            READ
            + "return data.texts.map((text) => { const { settings } = read(text); return wrongOptions(settings); });"
        )
        assert set(javascript(tmp_path, LINKS, code, {"texts": texts, "defaults": DEFAULTS})) == {""}


PARAMETERS = {"gd": [0.001], "momentum": [0.0007, 0.9], "rmsprop": [0.03, 0.99], "adam": [0.1, 0.9, 0.999]}


@needs_node
class TestOtherMethods:
    @pytest.mark.parametrize("name", PARAMETERS)
    def test_their_steps_have_the_bits_of_the_twin_in_python(self, tmp_path, name):
        parameters = PARAMETERS[name]
        code = """
            return data.map(({ objective, name, parameters, options }) =>
              descend(compile(objective), name, parameters, options).map((row) => row.x.map(String)));
        """
        cases = [
            {
                "objective": {"value": o.value, "da": o.da, "db": o.db},
                "name": name,
                "parameters": parameters,
                "options": {"start": o.start, "steps": 150},
            }
            for o in OBJECTIVES.values()
        ]
        for o, rows in zip(OBJECTIVES.values(), javascript(tmp_path, ["rules.js", "methods.js"], code, cases)):
            assert same_bits(np.array(rows, float), self.run(o, name, parameters, 150)), o.name

    def run(self, objective, name, parameters, steps):
        """Both coordinates by the twin, which asks for one derivative at a time."""
        x, gradient = [float(v) for v in objective.start], [0.0, 0.0]
        method = getattr(other_methods, name)
        walks = [
            method(x[i], itertools.repeat(lambda _, i=i: float(gradient[i]), steps + 1), *parameters)
            for i in (0, 1)
        ]
        rows = []
        with np.errstate(all="ignore"):
            for _ in range(steps + 1):
                x = [next(walk) for walk in walks]
                rows.append(x)
                gradient[:] = objective.jac(np.array(x)).tolist()
        return np.array(rows)

    def test_arrival_and_best_rate(self, tmp_path):
        o = OBJECTIVES["bowl"]
        code = """
            const functions = compile(data.objective), options = { start: [-1.6, 1.1], steps: 50 };
            const best = bestRate(functions, "gd", [null], options);
            const rows = descend(functions, "gd", [best], options);
            const ends = RATES.map((rate) => descend(functions, "gd", [rate], options).at(-1).f);
            return [best, RATES, ends, arrival(rows, 0), rows.map((row) => row.f)];
        """
        data = {"objective": {"value": o.value, "da": o.da, "db": o.db}}
        best, rates, ends, arrived, values = javascript(tmp_path, ["rules.js", "methods.js"], code, data)
        ends = [math.inf if v is None else v for v in ends]
        assert best == rates[int(np.argmin(ends))]
        assert arrived == next(k for k, f in enumerate(values) if f <= 1e-6 * values[0])


def test_the_path_of_lbfgs_is_scipys():
    html = explorer.page(OBJECTIVES["himmelblau"], start=(1.0, 0.5))
    data = json.loads(html.split("const DATA = ")[1].split(";\n")[0])
    for name, o in OBJECTIVES.items():
        evaluated = data["lbfgs"][name]
        assert evaluated[0] == [1.0, 0.5] if name == "himmelblau" else evaluated[0] == list(o.start)
        assert len(evaluated) <= 201
        if name != "roof":
            assert np.abs(o.jac(np.array(evaluated[-1]))).max() < 1e-6


@needs_node
def test_the_table_is_that_of_the_trace(tmp_path):
    o = OBJECTIVES["rosenbrock"]
    options = {
        "lr": o.lr,
        "etaMinus": 0.5,
        "etaPlus": 1.2,
        "min": 1e-3,
        "max": 0.06,
        "start": o.start,
        "steps": 60,
    }
    data = {
        "objective": {"value": o.value, "da": o.da, "db": o.db},
        "options": options,
        "events": [[name, *bits] for name, bits in _events.NAMES.items()],
    }
    code = 'return csv(run(compile(data.objective), "irprop+", data.options), 2, data.events);'
    written = javascript(tmp_path, ["rules.js", "save.js"], code, data)
    explorer.follow(o, "irprop+", step_sizes=(1e-3, 0.06), steps=60).to_csv(tmp_path / "trace.csv")

    def table(text):
        rows = list(csv.reader(text.splitlines()))
        event = rows[0].index("event")
        return [
            [value if i == event or row is rows[0] else float(value) for i, value in enumerate(row)]
            for row in rows
        ]

    assert table(written) == table((tmp_path / "trace.csv").read_text())


@needs_node
class TestJavaScript:
    def test_every_step_has_the_bits_of_the_oracle(self, tmp_path, rng):
        special = [0.0, -0.0, 1.0, -1.0, 5e-324, -1e-310, 1e-200, -1e200, np.inf, -np.inf, np.nan]
        sizes = [0.0, 0.1, 5e-324, 1e-6, 50.0, 1e308, np.inf, np.nan]
        step_sizes = [(1e-6, 50.0), (0.0, np.inf), (0.2, 0.05), (-np.inf, 1.0), (np.nan, 50.0), (1e-6, np.nan)]
        etas = [(0.5, 1.2), (0.8, 1.1), (1.0, 1.2), (0.0, 1.2), (5e-324, 1e300)]
        cases, expected = [], []
        for rule in rules.RULES:
            for worse in (False, True):
                for _ in range(1500):
                    x, g, prev = (pick(rng, special) for _ in range(3))
                    size = abs(pick(rng, sizes))
                    eta, (low, high) = etas[rng.integers(len(etas))], step_sizes[rng.integers(len(step_sizes))]
                    state = naive.step(
                        rule,
                        *(np.array([v]) for v in (x, g, prev, size)),
                        etas=eta,
                        step_sizes=(low, high),
                        worse=worse,
                    )
                    constants = np.array([*eta, low, high, 0, 1, 1])
                    event = _events.events(
                        rule, *(np.array([v]) for v in (g, prev, size)), state[2], constants, worse
                    ).item()
                    cases.append(
                        {
                            "rule": rule,
                            "worse": worse,
                            "values": [number(v) for v in (x, g, prev, size, *eta, low, high)],
                        }
                    )
                    expected.append([*(bits(part.item()) for part in state), event])
        after = in_node(tmp_path, steps=cases)["steps"]
        assert len(after) == 3000 * len(rules.RULES)
        for case, ours, theirs in zip(cases, expected, after):
            assert ours == theirs, case

    def test_an_unknown_rule_is_an_error(self, tmp_path):
        unknown = ["irprop", "", "toString"]
        for name, messages in zip(unknown, in_node(tmp_path, unknown=unknown)["unknown"]):
            assert messages == [f"there is no rule {name} in rules.js"] * 2
        # JSON has null for undefined: no error.
        assert in_node(tmp_path, unknown=list(rules.RULES))["unknown"] == [[None, None]] * len(rules.RULES)

    @pytest.mark.parametrize("rule", sampled(rules.RULES, ["irprop+"]))
    def test_every_step_of_the_conformance_vectors(self, tmp_path, rule):
        (file,) = crosscheck.export(tmp_path, rule, ["float64"])
        cases, expected = [], []
        for case in json.loads(file.read_text())["cases"]:
            if case["bounds"]:  # the explorer has none
                continue
            option = {name: case[f"{name}_hex"] for name in ("etas", "step_sizes")}
            lr = case["lr_hex"] if isinstance(case["lr_hex"], list) else [case["lr_hex"]] * len(case["x0"])
            x, prev, size, last = case["x0_hex"], ["0x0p+0"] * len(lr), lr, None
            for step in case["steps"]:
                option.update({name: step["set"][f"{name}_hex"] for name in option if name in step.get("set", {})})
                if step["grad"] is not None:
                    way, loss = (-1 if case["maximize"] else 1), float.fromhex(step["loss_hex"])
                    worse = last is not None and way * loss > way * last
                    last = loss
                    for g, *state in zip(step["grad_hex"], x, prev, size):
                        values = (
                            state[0],
                            (way * float.fromhex(g)).hex(),
                            *state[1:],
                            *option["etas"],
                            *option["step_sizes"],
                        )
                        values = [number(float.fromhex(v)) for v in values]
                        cases.append({"rule": rule, "worse": worse, "values": values})
                    for after in zip(step["x_hex"], step["prev_hex"], step["step_size_hex"]):
                        expected.append([bits(float.fromhex(v)) for v in after])
                x, prev, size = step["x_hex"], step["prev_hex"], step["step_size_hex"]
        after = in_node(tmp_path, steps=cases)["steps"]
        assert len(after) == len(expected) > 1000
        for case, ours, theirs in zip(cases, expected, after):
            assert ours == theirs[:3], case

    @pytest.mark.parametrize("rule", sampled(rules.RULES, ["irprop-", "rprop+"]))
    def test_runs_in_node_have_the_recorded_bits(self, tmp_path, rule):
        cases, expected = [], []
        for o in OBJECTIVES.values():
            for etas, low in (((0.5, 1.2), 1e-6), ((0.8, 1.1), 0.0)):
                trace = explorer.follow(o, rule, etas=etas, step_sizes=(low, 50.0), steps=150)
                options = {
                    "lr": o.lr,
                    "etaMinus": etas[0],
                    "etaPlus": etas[1],
                    "min": low,
                    "max": 50,
                    "start": o.start,
                    "steps": 150,
                }
                texts = {"value": o.value, "da": o.da, "db": o.db}
                cases.append({"objective": texts, "rule": rule, "options": options})
                expected.append(
                    [
                        [*map(bits, x), bits(f), *map(bits, size), *event.tolist()]
                        for x, f, size, event in zip(trace.x, trace.f, trace.size, trace.event)
                    ]
                )
        for case, ours, theirs in zip(cases, expected, in_node(tmp_path, runs=cases)["runs"]):
            assert ours == theirs, case


class TestFollow:
    @pytest.mark.parametrize("variant", rules.RULES)
    def test_its_steps_are_those_of_the_oracle(self, variant):
        o = OBJECTIVES["himmelblau"]
        trace = explorer.follow(o, variant, steps=80)
        grads = [o.jac(x) for x in trace.x[:-1]]
        states = naive.run(variant, np.array(o.start), grads, lr=o.lr, losses=trace.f[:-1].tolist())
        np.testing.assert_array_equal(trace.x[1:], [x for x, _, _ in states])
        np.testing.assert_array_equal(trace.size[:-1], [size for _, _, size in states])


class TestPage:
    def test_it_needs_no_other_file_and_is_small(self, tmp_path):
        for name in ("rosenbrock", "regression"):
            html = explorer.page(OBJECTIVES[name])
            assert len(html.encode()) < 400_000
            assert "http://" not in html
            assert "https://" not in html
            assert html.split("<script>")[1].startswith('\n"use strict";\nconst DATA = {"rule":')
            assert "<!--" not in html
        assert len(explorer.page(OBJECTIVES["rosenbrock"], steps=1000).encode()) < 1_500_000

    def test_the_command_writes_page_table_and_trace(self, tmp_path, capsys):
        page, table, saved = tmp_path / "o.html", tmp_path / "t.csv", tmp_path / "t.npz"
        arguments = ["--objective", "ellipse", "--steps", "50", "--lr", "1e-7", "--step-sizes", "1e-9", "50"]
        assert cli.main(["explain", *arguments, *map(str, ("--html", page, "--csv", table, "--save", saved))]) == 0
        out = capsys.readouterr().out
        assert "Trace of irprop-: 51 iterations (all kept), 2 coordinates" in out
        assert page.read_text().startswith("<!DOCTYPE html>")
        assert len(table.read_text().splitlines()) == 1 + 2 * 51
        assert cli.main(["explain", str(saved)]) == 0
        assert str(Trace.load(saved).explain()) in capsys.readouterr().out

    def test_the_command_takes_your_own_objective(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(explorer, "MINE", MINE, raising=False)
        page = tmp_path / "mine.html"
        assert cli.main(["explain", "--objective", "rprop_ref.explorer:MINE", "--html", str(page)]) == 0
        assert "mine: a test." in capsys.readouterr().out
        assert MINE.da in page.read_text()

    def test_the_command_draws_the_path(self, tmp_path, capsys):
        pytest.importorskip("matplotlib", reason="drawing needs the extra 'plot'")
        assert cli.main(["explain", "--steps", "20", "--plot", str(tmp_path / "p.png")]) == 0
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (["--objective", "nonsense"], "there is no objective 'nonsense'; it must be one of rosenbrock, bowl"),
            (["--objective", "json:nonsense"], "cannot load json:nonsense: module 'json' has no attribute"),
            (["--objective", "json:loads"], "json:loads must be an rprop_ref.objectives.Objective"),
            (["--etas", "2", "3"], "Invalid eta values: 2.0, 3.0"),
            (["--lr", "-1"], "Invalid learning rate: -1.0"),
            (["missing.npz"], "missing.npz"),
            (["x.npz", "--html", "y.html"], "--html shows a run on one of the objectives"),
        ],
    )
    def test_wrong_arguments_are_refused_in_one_line(self, arguments, text, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert cli.main(["explain", *arguments]) == 2
        captured = capsys.readouterr()
        assert text in captured.err
        assert len(captured.err.splitlines()) == 1


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="looks at the page in Chromium (extra 'browser')")
    own = os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
        except api.Error as error:
            how = "playwright install chromium, or CHROMIUM=path"
            pytest.skip(f"no Chromium could be started ({how}): {error.message[:200]}")
        yield browser
        browser.close()


#: Wide and narrow, light and dark.
SIGHTS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True},
    "phone, dark": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}


@pytest.mark.browser
class TestInChromium:
    @pytest.fixture
    def opened(self, chromium, tmp_path, request):
        """The page, opened without a network, and the list of its complaints."""
        file = tmp_path / "out.html"
        explorer.write(file, getattr(request, "param", OBJECTIVES["rosenbrock"]))
        contexts = []

        def opened(**sight):
            context = chromium.new_context(offline=True, **(sight or SIGHTS["desktop"]))
            contexts.append(context)
            page = context.new_page()
            complaints = []
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda r: r.url.startswith(("file:", "data:")) or complaints.append(r.url))
            began = time.perf_counter()
            page.goto(file.as_uri())
            page.wait_for_function("document.querySelector('#now').textContent !== ''")
            page.seconds = time.perf_counter() - began
            return page, complaints

        yield opened
        for context in contexts:
            context.close()

    def marker(self, page):
        a, b = (float(page.get_attribute("#marker", f"data-{name}")) for name in "ab")
        box, around = page.locator("#marker").bounding_box(), page.locator("#path").bounding_box()
        left, right, bottom, top = OBJECTIVES["rosenbrock"].window
        middle = box["x"] + box["width"] / 2 - around["x"], box["y"] + box["height"] / 2 - around["y"]
        across, up = (right - left) / around["width"], (top - bottom) / around["height"]
        return (a, b), (left + middle[0] * across, top - middle[1] * up)

    @pytest.mark.parametrize("sight", SIGHTS)
    def test_the_slider_moves_the_marker_to_what_was_recorded(self, opened, sight):
        page, complaints = opened(**SIGHTS[sight])
        trace = explorer.follow(OBJECTIVES["rosenbrock"])
        for k in (0, 1, 17, 63, 200):
            page.evaluate("k => { time.value = k; time.dispatchEvent(new Event('input')); }", k)
            stated, drawn = self.marker(page)
            assert stated == tuple(trace.x[k])
            np.testing.assert_allclose(drawn, trace.x[k], atol=0.02)
            assert f"iteration {k} of 200" in page.inner_text("#now")
        # The page fits into the window, and its text is large enough to read.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert (
            page.evaluate(
                "Math.min(...[...document.querySelectorAll('body *')].filter(e => e.innerText)"
                ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
            )
            >= 12
        )
        assert complaints == []

    @pytest.mark.parametrize("sight", SIGHTS)
    def test_axe_finds_nothing_to_mend(self, opened, sight):
        """Labels, contrast, landmarks and names, in every mode."""
        axe = pytest.importorskip("axe_playwright_python", reason="checks accessibility (extra 'browser')")
        script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
        page, _ = opened(**SIGHTS[sight])
        page.evaluate(script)
        for mode in page.evaluate("MODES"):
            page.evaluate("mode => setMode(mode)", mode)
            assert self.violations(page) == []
            page.evaluate("choose('regression'), changeTraining({ batch: 4, noise: 0.01 })")
            assert self.violations(page) == []
            page.evaluate("choose('rosenbrock', optionsOf('rosenbrock'))")
        page.evaluate("setMode('watch'), choose(OWN)")
        page.fill("#own-text", "1 +")
        page.press("#own-text", "Enter")
        assert self.violations(page) == []

    def violations(self, page):
        found = page.evaluate("axe.run()")["violations"]
        return [(v["id"], [node["target"] for node in v["nodes"]]) for v in found]

    def test_it_is_usable_when_loaded(self, opened):
        """The time is printed, not asserted, since it depends on the machine."""
        page, _ = opened()
        inside = page.evaluate("performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart")
        print(f"usable after {page.seconds:.2f} s, of which {inside / 1000:.2f} s in the page")
        assert page.is_enabled("#time")

    def test_the_map_has_numbers_at_its_axes_and_a_legend(self, opened):
        page, _ = opened()
        assert page.evaluate("ticks(-1.8, 1.8, 8)") == [-1.5, -1, -0.5, 0, 0.5, 1, 1.5]
        assert page.evaluate("ticks(0, 3e-4, 3)") == [0, 1e-4, 2e-4, 3e-4]
        assert page.evaluate("logTicks(-4, 0.3, 4)") == [1, 0.1, 0.01, 1e-3, 1e-4]
        assert page.evaluate("logTicks(-11.5, 3.2, 4)") == [1e3, 0.1, 1e-5, 1e-9]
        assert page.evaluate("logTicks(Math.log10(0.3), Math.log10(7), 4)") == [0.5, 1, 2, 5]
        assert page.evaluate("logTicks(Math.log10(2), Math.log10(3.1), 4)") == [2, 2.5, 3]
        assert page.evaluate("logTicks(308.1, 308.25, 4).length") > 0
        written = page.evaluate(
            "{ const texts = []; const { fillText } = CanvasRenderingContext2D.prototype;"
            "CanvasRenderingContext2D.prototype.fillText = function (text, x, y) { texts.push([text, x, y]); };"
            "drawPath(picture()); CanvasRenderingContext2D.prototype.fillText = fillText; texts }"
        )
        box = page.locator("#path").bounding_box()
        left, right, _, _ = OBJECTIVES["rosenbrock"].window
        (x,) = [x for text, x, y in written if text == "0.5" and y > 0.9 * box["height"]]
        assert left + x / box["width"] * (right - left) == pytest.approx(0.5, abs=0.01)
        assert "minimum" in page.inner_text("main .legend >> nth=0")

    def test_keys_move_and_play_and_choose_rules(self, opened):
        page, complaints = opened()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        assert "iteration 1 of" in page.inner_text("#now")
        page.keyboard.press("End")
        assert "iteration 200 of" in page.inner_text("#now")
        page.keyboard.press("Home")
        assert "iteration 0 of" in page.inner_text("#now")
        page.keyboard.press("1")
        assert page.input_value("#rule") == "rprop+"
        page.keyboard.press("Space")
        page.wait_for_function("Number(time.value) >= 3")
        assert page.inner_text("#play") == "Pause"
        page.keyboard.press("Space")
        assert page.inner_text("#play") == "Play"
        # With the focus on the slider, a key moves it only once.
        page.keyboard.press("Home")
        page.focus("#time")
        page.keyboard.press("ArrowRight")
        assert "iteration 1 of" in page.inner_text("#now")
        assert complaints == []

    @pytest.mark.parametrize("rule", rules.RULES)
    def test_the_branch_taken_is_marked(self, opened, rule):
        page, _ = opened()
        page.select_option("#rule", rule)
        trace = explorer.follow(OBJECTIVES["rosenbrock"], rule)
        for k in range(40):
            page.evaluate("k => { time.value = k; time.dispatchEvent(new Event('input')); }", k)
            taken = page.evaluate(
                "[...document.querySelectorAll('#code li')].map(e => [e.querySelector('code').textContent, "
                "e.querySelector('.who').textContent])"
            )
            who = {text.strip(): names.split() for text, names in taken}
            grew, shrank = (next(n for t, n in who.items() if t.startswith(head)) for head in ("q > 0", "q < 0"))
            undo = [n for t, n in who.items() if "undo" in t] or [[]]
            for i, name in enumerate("ab"):
                assert (name in grew) == trace.where("grew")[k, i]
                assert (name in shrank) == trace.where("shrank")[k, i]
                assert (name in undo[0]) == trace.where("undone")[k, i]

    @pytest.mark.parametrize("opened", [MINE], indirect=True)
    def test_your_own_objective_is_shown(self, opened):
        page, complaints = opened()
        trace = explorer.follow(MINE)
        page.keyboard.press("End")
        assert self.marker(page)[0] == tuple(trace.x[-1])
        page.select_option("#objective", "bowl")
        page.select_option("#objective", "mine")
        assert "mine: a test" in page.inner_text("#about")
        page.fill("#option-steps", "99")
        page.locator("#option-steps").blur()
        assert "computed in this page" in page.inner_text("#source")
        page.keyboard.press("End")
        assert self.marker(page)[0] == tuple(explorer.follow(MINE, steps=99).x[-1])
        assert complaints == []

    def test_a_link_shows_what_was_set(self, opened):
        page, complaints = opened()
        page.select_option("#objective", "himmelblau")
        page.select_option("#rule", "rprop+")
        page.fill("#option-lr", "0.0123456789")
        page.locator("#option-lr").blur()
        page.click("#path", position={"x": 200, "y": 100})
        page.evaluate("go(37)")
        before = page.evaluate("settings()")
        page.wait_for_function("location.hash.endsWith('k=37')")
        link = page.evaluate("location.href")
        page.click("#copy")
        page.wait_for_function("saved.textContent !== ''")
        assert page.input_value("#link") == link
        page.goto("about:blank")
        page.goto(link)
        assert page.evaluate("settings()") == before
        assert page.input_value("#option-lr") == "0.0123456789"
        page.evaluate("location.hash = 'objective=bowl&steps=0'")
        page.wait_for_function("wrong.textContent !== ''")
        assert page.input_value("#objective") == "bowl"
        assert "The link has a wrong number" in page.inner_text("#wrong")
        assert complaints == []

    def test_a_link_brings_back_every_mode(self, opened):
        page, complaints = opened()
        for mode in page.evaluate("MODES"):
            page.click(f"[data-mode={mode}]")
            page.evaluate("choose('regression', { ...optionsOf('regression'), batch: 8, noise: 0.01, seed: 3 })")
            page.evaluate("setRule('irprop-go'), state.bug = 4, setMode(state.mode), go(17)")
            before, link = page.evaluate("settings()"), page.evaluate("location.href.split('#')[0]")
            link += "#" + page.evaluate("toLink(settings())")
            page.goto("about:blank")
            page.goto(link)
            after = page.evaluate("settings()")
            assert after == before if mode == "bug" else {**after, "bug": 4} == before
            assert page.get_attribute(f"[data-mode={mode}]", "aria-pressed") == "true"
        assert complaints == []

    def test_a_function_can_be_typed_in(self, opened):
        page, complaints = opened()
        page.select_option("#objective", "your own")
        assert page.input_value("#own-text") == "(1-a)^2 + 100*(b-a^2)^2"
        typed = page.evaluate("state.runs['irprop-'].map((row) => row.f)")
        known = explorer.follow(OBJECTIVES["rosenbrock"], lr=0.1)
        np.testing.assert_allclose(typed[:20], known.f[:20], rtol=1e-12)
        # An error is shown under its character, and what was shown before remains.
        page.fill("#own-text", "(1-a)^2 +* b")
        page.press("#own-text", "Enter")
        assert page.inner_text("#own-wrong").splitlines()[1] == " " * 9 + "^"
        assert page.evaluate("settings().f") == "(1-a)^2 + 100*(b-a^2)^2"
        # One variable: a curve, without the other variable in the table and the numbers.
        page.fill("#own-text", "abs(x - 1) + 0.1*x^2")
        page.press("#own-text", "Enter")
        assert page.is_hidden("#own-wrong")
        assert page.inner_text("#names").split() == ["quantity", "x"]
        assert page.inner_text("#options").count("start") == 1
        page.evaluate("go(200)")
        assert page.evaluate("state.runs[state.rule].at(-1).x[0]") == pytest.approx(1, abs=1e-5)
        before = page.evaluate("settings()")
        page.wait_for_function("location.hash.endsWith('k=200')")
        page.click("text=Race")
        page.click("text=Watch")
        link = page.evaluate("location.href.split('#')[0] + '#' + toLink(settings())")
        page.goto("about:blank")
        page.goto(link)
        assert page.evaluate("settings()") == before
        # A link to a text that is no function.
        page.goto("about:blank")
        page.goto(link.split("#")[0] + "#objective=your own&f=alert(1)")
        assert '"alert" is unknown' in page.inner_text("#own-wrong")
        assert page.evaluate("state.objective.name") == "rosenbrock"
        assert complaints == []

    @pytest.mark.parametrize("sight", SIGHTS)
    def test_the_next_step_is_predicted(self, opened, sight):
        page, complaints = opened(**SIGHTS[sight])
        page.click("text=Predict")
        page.select_option("#rule", "rprop-")
        trace = explorer.follow(OBJECTIVES["rosenbrock"], "rprop-")
        assert "next step?" in page.inner_text("h2 >> nth=3")
        assert page.is_hidden("#cells")
        assert page.is_hidden("#sizes")
        for k in range(5):
            i = k % 2
            page.click("#predict-check")
            assert page.inner_text("#predict-said") == "Fill in the step size."
            grew, shrank = (bool(trace.where(name)[k, i]) for name in ("grew", "shrank"))
            page.select_option("#predict-adaptation", "grew" if grew else "shrank" if shrank else "kept")
            page.select_option("#predict-move", "made")
            page.fill("#predict-size", f"{trace.size[k, i]:.6g}")
            page.fill("#predict-x", f"{trace.x[k + 1, i]:.6g}")
            page.click("#predict-check")
            assert page.inner_text("#predict-said").startswith("Right. The product is")
            assert f"rprop-: {k + 1} of {k + 1} right" in page.inner_text("#predict-score")
            page.click("#predict-on")
        page.click("#predict-next")
        assert page.input_value("#rule") == "rprop+"
        page.select_option("#predict-adaptation", "shrank")
        page.select_option("#predict-move", "undone")
        page.fill("#predict-size", "1")
        page.fill("#predict-x", "1")
        page.click("#predict-check")
        said = page.inner_text("#predict-said")
        assert said.startswith("Step 1, the step size: shrank is not right. The product is")
        assert "Level 2 of 5, rprop+: 0 of 1 right" in page.inner_text("#predict-score")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert complaints == []

    @pytest.mark.parametrize("sight", ["desktop", "phone, dark"])
    def test_the_bug_is_found(self, opened, sight):
        page, complaints = opened(**SIGHTS[sight])
        page.click("text=Find the bug")
        firsts = []
        for i, name in enumerate(explorer.BUGS):
            page.select_option("#bug-program", str(i))
            page.click("text=Ask the referee")
            assert "Fill in" in page.inner_text("#bug-said")
            first = page.evaluate("firstDifference(state.broken, state.right)")
            firsts.append(first)
            page.evaluate(f"go({first})")
            page.select_option("#bug-mistake", name)
            page.fill("#bug-step", str(first + 1))
            page.click("text=Ask the referee")
            assert f"They differ before step {first + 1}." in page.inner_text("#bug-said")
            page.fill("#bug-step", str(first))
            page.select_option("#bug-mistake", explorer.BUGS[i - 1])
            page.click("text=Ask the referee")
            assert f"Step {first} is right, but with that mistake" in page.inner_text("#bug-said")
            page.select_option("#bug-mistake", name)
            page.click("text=Ask the referee")
            assert page.inner_text("#bug-said").startswith("Right. The referee: " + DEVIATIONS[name].does)
        assert all(1 <= first <= 20 for first in firsts)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.wait_for_function("location.hash.includes('bug=5')")
        assert complaints == []

    @pytest.mark.parametrize("sight", SIGHTS)
    def test_methods_race_from_the_same_start(self, opened, sight):
        page, complaints = opened(**SIGHTS[sight])
        page.click("text=Race")
        page.select_option("#objective", "ellipse")
        counts = page.evaluate("Object.fromEntries(RUNNERS.map((r) => [r, $('race-n-' + r).textContent]))")
        trace = explorer.follow(OBJECTIVES["ellipse"])
        arrived = int(np.argmax(trace.f <= 1e-6 * trace.f[0])) + 1
        assert counts["irprop-"] == str(arrived)
        assert counts["gd"] == "> 200"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        words = page.inner_text("#race-words")
        assert "gradient descent creeps: its rate must suit the steepest direction" in words
        assert "RMSprop is Rprop's heir" in words
        # A rate of one's own; one that is too large; and a method that is hidden.
        page.fill("#race-gd-0", "1")
        page.locator("#race-gd-0").blur()
        assert "gradient descent overshoots more with every step" in page.inner_text("#race-words")
        page.uncheck("#race-show-adam")
        assert "Adam" not in page.inner_text("#race-words")
        page.wait_for_function("location.hash.includes('hidden=adam&gd=1&')")
        page.goto("about:blank")
        page.go_back()
        assert page.evaluate("settings().race.gd") == [1]
        assert not page.is_checked("#race-show-adam")
        # L-BFGS-B was recorded from one start only.
        page.click("#path", position={"x": 100, "y": 100})
        assert "from the objective's own start only" in page.inner_text("#race-words")
        assert complaints == []

    @pytest.mark.parametrize("sight", SIGHTS)
    def test_step_sizes_collapse_with_batches(self, opened, sight):
        page, complaints = opened(**SIGHTS[sight])
        assert page.is_hidden("#batch-label")
        assert page.is_hidden("#noise-words")
        page.select_option("#objective", "regression")
        assert page.is_visible("#points")
        last = "{ const { f, size } = state.runs['irprop-'].at(-1); [f, Math.max(...size)] }"
        assert page.evaluate(last)[0] < 1e-9
        page.select_option("#batch", "4")
        assert page.evaluate(last)[0] > 1e-3
        assert page.evaluate(last)[1] < 1e-4
        words = page.inner_text("#noise-words")
        assert words.startswith("irprop-: In the second half, ")
        assert "The step sizes collapse: in step 44 they are below a hundredth of the first." in words
        assert "with exact gradients it would be less than a millionth" in words
        assert "Rprop takes noise for a minimum" in words
        # Another rule, other numbers: the words follow.
        page.select_option("#rule", "rprop-")
        assert page.inner_text("#noise-words").startswith("rprop-: ")
        page.fill("#option-etaMinus", "0.9")
        page.locator("#option-etaMinus").blur()
        assert "one change undoes 0.58 steps" in page.inner_text("#noise-words")
        assert "The step sizes have not collapsed" in page.inner_text("#noise-words")
        before = page.evaluate("settings()")
        page.wait_for_function("location.hash.includes('batch=4')")
        link = page.evaluate("location.href")
        page.goto("about:blank")
        page.goto(link)
        assert page.evaluate("settings()") == before
        assert page.input_value("#batch") == "4"
        # A batch of all the points is no noise.
        page.select_option("#batch", "0")
        assert page.is_hidden("#noise-words")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert complaints == []

    @pytest.mark.parametrize("sight", ["desktop", "phone, dark"])
    def test_noise_is_set_by_keys_and_is_the_same_for_all(self, opened, sight):
        page, complaints = opened(**SIGHTS[sight])
        page.select_option("#objective", "ellipse")
        page.focus("#noise")
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        assert page.evaluate("state.options.noise") == 0.1
        assert page.inner_text("#noise-now") == page.get_attribute("#noise", "aria-valuetext")
        assert page.inner_text("#noise-now") == "10% of the first gradient"
        at = noise_twin.seen(OBJECTIVES["ellipse"], noise=0.1, count=201)
        rows = page.evaluate("state.runs['rprop-'].map((row) => [row.x, row.g])")
        for k in (0, 1, 100, 200):
            assert rows[k][1] == at(np.array(rows[k][0]), k)[1]
        page.click("#reseed")
        assert page.input_value("#seed") == "2"
        assert page.evaluate("state.runs['rprop-'].map((row) => row.g)") != [g for _, g in rows]
        page.fill("#seed", "1.5")
        page.locator("#seed").blur()
        assert "must be whole numbers" in page.inner_text("#wrong")
        page.click("text=Race")
        words = page.inner_text("#race-words")
        assert "irprop- takes a change of sign that noise made for a minimum" in words
        assert "L-BFGS-B needs exact gradients" in words
        assert "Nearest at the end is " in words
        # What is asked and answered follows from the noisy gradients, too.
        page.click("text=Predict")
        g = page.evaluate("state.runs[state.rule][0].g[0]")
        assert page.inner_text("#predict-cells tr:nth-child(2) td:nth-child(2)") == page.evaluate(
            "v => show(v)", g
        )
        page.click("text=Find the bug")
        assert page.evaluate("firstDifference(state.broken, state.right)") > 0
        page.click("#reset")
        assert page.input_value("#noise") == "0"
        assert "recorded by rprop_ref" in page.inner_text("#source")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert complaints == []

    def test_a_link_can_ask_the_page_to_play(self, opened):
        page, complaints = opened()
        link = page.evaluate("location.href.split('#')[0]") + "#objective=ellipse&play=1"
        page.goto("about:blank")
        page.goto(link)
        page.wait_for_function("Number(time.value) >= 2")
        page.emulate_media(reduced_motion="reduce")
        page.reload()
        assert page.inner_text("#play") == "Play"
        assert complaints == []

    def test_picture_and_run_can_be_saved(self, opened):
        page, complaints = opened()
        page.evaluate("go(50)")
        files = {}
        for kind in ("png", "svg", "csv"):
            with page.expect_download() as download:
                page.click(f"#save-{kind}")
            assert download.value.suggested_filename == f"rprop-rosenbrock.{kind}"
            files[kind] = Path(download.value.path()).read_bytes()
        assert files["png"].startswith(b"\x89PNG")
        root = ElementTree.fromstring(files["svg"])
        lines = root.findall("{*}polyline")
        assert [len(line.get("points").split()) for line in lines] == [51] * len(rules.RULES)
        assert root.find("{*}image").get("href").startswith("data:image/png")
        assert len(files["csv"].splitlines()) == 1 + 2 * 201
        assert complaints == []

    def test_numbers_can_be_changed_and_refused(self, opened):
        page, complaints = opened()
        assert "recorded by rprop_ref" in page.inner_text("#source")
        page.fill("#option-etaMinus", "0.8")
        page.press("#option-etaMinus", "Enter")
        page.locator("#option-etaMinus").blur()
        assert "computed in this page" in page.inner_text("#source")
        trace = explorer.follow(OBJECTIVES["rosenbrock"], etas=(0.8, 1.2))
        page.evaluate("time.value = 90; time.dispatchEvent(new Event('input'))")
        assert self.marker(page)[0] == tuple(trace.x[90])
        page.fill("#option-etaPlus", "0.9")
        page.locator("#option-etaPlus").blur()
        assert "0 < \u03b7\u2212 < 1 < \u03b7+" in page.inner_text("#wrong")
        page.click("#reset")
        assert "recorded by rprop_ref" in page.inner_text("#source")
        for name, o in OBJECTIVES.items():
            page.select_option("#objective", name)
            page.keyboard.press("End")
            stated, _ = self.marker(page)
            assert stated == tuple(explorer.follow(o).x[-1])
        page.click("#path", position={"x": 100, "y": 100})
        assert "iteration 0 of" in page.inner_text("#now")
        assert complaints == []
