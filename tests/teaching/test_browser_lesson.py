"""The lesson that runs in the browser: its cells without Numba, its wheel, and the page in Chromium with Pyodide."""

from __future__ import annotations

import ast
import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
import test_explorer

from rprop_ref import minimize
from rprop_ref.objectives import OBJECTIVES

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
import browser_lesson  # noqa: E402
from browser_lesson import distribution  # noqa: E402

chromium = test_explorer.chromium
NODE = shutil.which("node")

#: A folder with Pyodide: the npm package of that name, or one with the packages of the lesson, too.
PYODIDE = Path(os.environ.get("PYODIDE") or "without")
needs_pyodide = pytest.mark.skipif(
    not (PYODIDE / "pyodide.mjs").is_file(), reason="needs Pyodide: PYODIDE=folder (make test-browser gets it)"
)
FULL = any(PYODIDE.glob("numpy-*.whl"))
needs_packages = pytest.mark.skipif(not FULL, reason="needs a Pyodide with NumPy, SciPy and matplotlib")

#: What a page has loaded: rprop_ref from the wheel, and neither Numba nor what Pyodide does not have.
WITHOUT_NUMBA = """
import json, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba", "llvmlite", "tqdm", "ml_dtypes", "torch", "numba_cuda", "cuda"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
wheel, docs = sys.argv[1:]
sys.path[:0] = [wheel, docs + "/browser_lesson"]
from cells import run_cell
cells = json.load(sys.stdin)
print(json.dumps([json.loads(run_cell(cell)) for cell in cells]))
import rprop_ref
assert rprop_ref.__file__.startswith(wheel), rprop_ref.__file__
assert "numba" not in sys.modules
"""


def sources():
    cells = json.loads(browser_lesson.NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return browser_lesson.write_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_lesson_runs_from_the_wheel_without_numba(wheel, tmp_path):
    pytest.importorskip("matplotlib", reason="the lesson draws")
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA, unpacked, DOCS],
        input=json.dumps(sources()),
        cwd=tmp_path,
        env={name: v for name, v in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check_lesson(json.loads(done.stdout))


def check_lesson(results):
    """What each cell of the lesson shows, wherever it ran."""
    assert len(results) == len(sources())
    for source, parts in zip(sources(), results):
        assert [part for part in parts if part[0] == "error"] == [], source
    shown = dict(zip(sources(), results))
    (by_hand,) = [parts for source, parts in shown.items() if source.startswith("def rprop")]
    assert by_hand[0][0] == "text"
    assert float(by_hand[0][1]) == pytest.approx(3, abs=0.1)
    (drawn,) = [parts for source, parts in shown.items() if "plot.path" in source]
    assert [(kind, content[:4]) for kind, content in drawn] == [("html", "<svg")]
    assert any("smallest step size" in content for parts in results for _, content in parts)


def test_the_wheel_is_one(wheel, tmp_path):
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    for path in ("rprop_ref/__init__.py", "rprop_ref/explorer/page.html", "numba_kernels/py.typed"):
        assert path in names
    tracked = {
        p.relative_to(browser_lesson.ROOT).as_posix() for p in (browser_lesson.ROOT / "rprop_ref").rglob("*.py")
    }
    assert tracked <= set(names)
    (record,) = [name for name in names if name.endswith("dist-info/RECORD")]
    lines = dict(line.split(",", 1) for line in archive.read(record).decode().splitlines())
    assert list(lines) == names
    digest = browser_lesson._digest(archive.read("rprop_ref/rules.py"))
    assert lines["rprop_ref/rules.py"].startswith(f"sha256={digest},")
    assert browser_lesson.write_wheel(tmp_path).read_bytes() == wheel.read_bytes()


class TestDistribution:
    @pytest.fixture
    def carrier(self, tmp_path):
        """A wheel that carries two packages, one of which needs the other, in a folder with Pyodide's lock file."""
        carrier = tmp_path / "carrier.whl"
        with zipfile.ZipFile(carrier, "w") as archive:
            archive.writestr("assets/one.whl", "1")
            archive.writestr("assets/two.whl", "2")
        locked = {
            "one": {"file_name": "one.whl", "sha256": hashlib.sha256(b"1").hexdigest(), "depends": ["Two"]},
            "two": {"file_name": "two.whl", "sha256": hashlib.sha256(b"2").hexdigest(), "depends": ["one"]},
            "three": {"file_name": "three.whl", "sha256": "", "depends": ["one"]},
            "four": {"file_name": "two.whl", "sha256": "0", "depends": ["one"]},
        }
        (tmp_path / "pyodide-lock.json").write_text(json.dumps({"packages": locked}))
        return carrier

    def test_packages_come_with_what_they_need(self, tmp_path, carrier):
        distribution.complete(tmp_path, carrier, ("one",))
        assert [(tmp_path / name).read_text() for name in ("one.whl", "two.whl")] == ["1", "2"]

    @pytest.mark.parametrize(
        ("name", "problem"),
        [("three", "has no three.whl"), ("four", "is not the file that Pyodide's lock file names")],
    )
    def test_a_missing_or_another_file_is_refused(self, tmp_path, carrier, name, problem):
        with pytest.raises(ValueError, match=problem):
            distribution.complete(tmp_path, carrier, (name,))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["carrier.whl", "pyodide-lock.json"]


def test_an_incomplete_pyodide_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no NumPy"):
        browser_lesson.write(tmp_path, str(tmp_path))


#: Cells of which `check_cells` knows what they show.
CELLS = [
    "x = 20\nx + 1",
    "print('a'); x",
    "x;",
    "def f():\n    return 1 / 0\nf()",
    "1 +",
    "raise SystemExit(3)",
]


def test_cells_show_values_prints_and_errors(tmp_path):
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from cells import run_cell;"
        "print(json.dumps([json.loads(run_cell(c)) for c in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, DOCS / "browser_lesson"],
        input=json.dumps(CELLS), capture_output=True, text=True, check=True,
    )  # fmt: skip
    check_cells(json.loads(done.stdout))


def check_cells(results):
    assert results[:3] == [[["text", "21"]], [["text", "a\n"], ["text", "20"]], []]
    ((kind, error),) = results[3]
    assert kind == "error"
    assert "    return 1 / 0\n" in error
    assert error.endswith("ZeroDivisionError: division by zero\n")
    assert "cells.py" not in error
    assert "SyntaxError" in results[4][0][1]
    assert results[5][0][1].endswith("SystemExit: 3\n")


IN_PYODIDE = """
import fs from "fs";
// Node would quote the line of the error, which in Pyodide is a megabyte.
process.on("uncaughtException", (error) => { console.error(String(error)); process.exit(1); });
const { folder, wheel, cells, code, sources } = JSON.parse(fs.readFileSync(0, "utf8"));
const { loadPyodide } = await import(folder + "/pyodide.mjs");
const python = await loadPyodide({ indexURL: folder + "/" });
python.unpackArchive(new Uint8Array(fs.readFileSync(wheel)), "wheel");
python.FS.writeFile("cells.py", cells);
python.runPython("import sys; sys.path.insert(0, '.'); from cells import run_cell");
const run = python.globals.get("run_cell");
console.log(JSON.stringify({ code: code && python.runPython(code), cells: sources.map((text) => JSON.parse(run(text))) }));
"""


def in_pyodide(tmp_path, wheel, *, sources, code=""):
    file = tmp_path / "run.mjs"
    file.write_text(IN_PYODIDE)
    given = {
        "folder": str(PYODIDE.resolve()), "wheel": str(wheel), "code": code, "sources": sources,
        "cells": (DOCS / "browser_lesson" / "cells.py").read_text(),
    }  # fmt: skip
    done = subprocess.run([NODE, file], input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.browser
@needs_pyodide
@pytest.mark.skipif(NODE is None, reason="needs node")
class TestInNode:
    def test_pyodide_has_what_the_package_imports(self, wheel, tmp_path):
        """Of the standard library, what is imported at the top of a module; and every file compiles there."""
        own = {"rprop_ref", "numba_kernels", "cuda_kernels"}
        names = set()
        for path in (browser_lesson.ROOT / "rprop_ref").rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Import):
                    names |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names.add(node.module)
        names = sorted(n for n in names if n.partition(".")[0] in sys.stdlib_module_names - own)
        assert len(names) > 20
        code = f"""
import importlib.util, json, pathlib
missing = []
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        missing.append(str(error))
(folder,) = importlib.util.find_spec("rprop_ref").submodule_search_locations
files = list(pathlib.Path(folder).rglob("*.py"))
[compile(path.read_text(), str(path), "exec") for path in files]
json.dumps([missing, len(files)])
"""
        missing, compiled = json.loads(in_pyodide(tmp_path, wheel, sources=[], code=code)["code"])
        assert missing == []
        assert compiled > 100

    def test_cells_run(self, wheel, tmp_path):
        check_cells(in_pyodide(tmp_path, wheel, sources=CELLS)["cells"])


@pytest.fixture(scope="module")
def server():
    """The address at which PYODIDE is served, as its public server would."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def guess_type(self, path):
            kinds = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
            return kinds.get(Path(path).suffix, "application/octet-stream")

        def end_headers(self):
            self.send_header("Access-Control-Allow-Origin", "*")
            super().end_headers()

        def log_message(self, *arguments):
            pass

    handler = functools.partial(Handler, directory=PYODIDE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/"
        served.shutdown()
        thread.join()


@pytest.mark.browser
class TestInChromium:
    @pytest.fixture
    def opened(self, chromium, wheel, tmp_path):
        """The page as a file, and the list of its complaints."""
        contexts = []

        def opened(pyodide, packages=(), sight="desktop"):
            file = tmp_path / "lesson.html"
            file.write_text(browser_lesson.page(wheel, pyodide, packages), encoding="utf-8")
            context = chromium.new_context(**test_explorer.SIGHTS[sight])
            contexts.append(context)
            page, complaints = context.new_page(), []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(file.as_uri())
            return page, complaints

        yield opened
        for context in contexts:
            context.close()

    @pytest.mark.parametrize("sight", test_explorer.SIGHTS)
    def test_it_can_be_read(self, opened, sight):
        page, complaints = opened("nowhere/", sight=sight)
        assert page.inner_text("h1") == "A first lesson in Rprop"
        assert page.locator(".cell").count() == len(sources())
        assert page.input_value(".cell textarea >> nth=0") == sources()[0]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert self.violations(page) == []
        assert complaints == []

    def violations(self, page):
        axe = pytest.importorskip("axe_playwright_python", reason="checks accessibility (extra 'browser')")
        page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
        return [(v["id"], [n["target"] for n in v["nodes"]]) for v in page.evaluate("axe.run()")["violations"]]

    def test_it_says_what_is_missing(self, opened):
        page, complaints = opened("nowhere/")
        page.click("#start")
        page.wait_for_function("said.textContent.includes('could not be started')")
        assert "It is loaded from nowhere/" in page.inner_text("#said")
        assert page.is_enabled("#start")
        assert complaints == []

    @needs_pyodide
    def test_it_says_which_package_is_missing(self, opened, server):
        page, complaints = opened(server, ("sympy",))
        page.click("#start")
        page.wait_for_function(
            "said.textContent.includes('The packages sympy could not be loaded.')", timeout=60000
        )
        assert complaints == []

    @needs_pyodide
    def test_cells_run(self, opened, server):
        page, complaints = opened(server)
        page.click("#start")
        page.wait_for_function("said.textContent === 'Python is ready.'", timeout=60000)
        # A cell that needs nothing else, by keys and by its button; an error; and what was printed.
        number = next(i for i, source in enumerate(sources()) if source.startswith("def rprop"))
        cell = page.locator(".cell").nth(number)
        cell.locator("textarea").press("Shift+Enter")
        page.wait_for_function(f"document.querySelectorAll('.output')[{number}].textContent !== ''")
        assert float(cell.locator(".output").inner_text()) == pytest.approx(3, abs=0.1)
        cell.locator("textarea").fill("print('<b>')\nundefined")
        cell.locator("button").click()
        page.wait_for_function(f"document.querySelectorAll('.output')[{number}].textContent.includes('NameError')")
        assert cell.locator("pre").first.inner_text().strip() == "<b>"
        assert page.locator(".output b").count() == 0
        assert complaints == []

    @needs_packages
    def test_the_lesson_runs_with_the_same_bits(self, opened, server):
        page, complaints = opened(server, browser_lesson.PACKAGES, "phone, dark")
        page.click("#start")
        page.wait_for_function("said.textContent === 'Python is ready.'", timeout=120000)
        page.click("#all")
        last = len(sources()) - 1
        page.wait_for_function(
            f"document.querySelectorAll('.output')[{last}].textContent && said.textContent === 'Python is ready.'",
            timeout=120000,
        )
        check_lesson(
            page.evaluate(
                "[...document.querySelectorAll('.output')].map((output) => [...output.children].map("
                "(part) => [part.className, part.className === 'html' ? part.innerHTML : part.textContent]))"
            )
        )
        assert self.violations(page) == []
        cell = page.locator(".cell").first
        cell.locator("textarea").fill("result.x.tobytes().hex() + result.trace.x.tobytes().hex()")
        cell.locator("textarea").press("Shift+Enter")
        page.wait_for_function("document.querySelector('.output').textContent.length > 99")
        valley = OBJECTIVES["rosenbrock"]
        options = {"lr": 0.05, "etas": (0.5, 1.2), "maxiter": 300}
        result = minimize(valley.fun, (-1.2, 1.0), jac=valley.jac, trace=True, **options)
        expected = result.x.tobytes() + result.trace.x.tobytes()
        assert cell.locator(".output").inner_text().strip("'\n") == expected.hex()
        assert complaints == []
