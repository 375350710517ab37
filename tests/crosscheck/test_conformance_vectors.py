"""Conformance vectors: they replay, name the mistakes that they catch, and a published version never changes."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import naive
import numpy as np
import pytest
from cases import thinned

from rprop_ref import crosscheck
from rprop_ref.bits import same_bits
from rprop_ref.crosscheck import COMPOSITIONS, DEVIATIONS, conformance_cases, conformance_vectors, mutant
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._comparison.catching import deviations_caught
from rprop_ref.crosscheck._comparison.divergence import same_values
from rprop_ref.crosscheck._comparison.expected import expected_trajectories
from rprop_ref.crosscheck._comparison.observe import observe
from rprop_ref.crosscheck._stages.compositions import deviations_from
from rprop_ref.rules import RULES

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "conformance"
FILES = sorted((RELEASED / "vectors").glob("*.json"))

#: The SHA-256 of ``conformance/SHA256SUMS`` for each version. A published version never changes: if the test of it
#: fails, raise the version.
PUBLISHED = {3: "5ada77f851b6d6170e70eb8ef5cfd5d840f0ae3bf0985413c5692e6f70b36152"}

#: The content, but for the mistakes that are caught, of files of version 3 that are not in the folder.
VERSION_3 = {
    "irprop-.complex64.json": "7fdb816ebb6956323a5b6732011d61e11763a05daa429fc60265d17babc013e4",
    "irprop+.float16.json": "18e720aa3cbe7e6037a1435c51bfa2cfb47424784efc84dd09ede2388124b26d",
}

every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def cases_of(file):
    return json.loads(file.read_text(encoding="utf-8"))["cases"]


# --- what the vectors say -------------------------------------------------------------------------------------


@every_file
def test_the_oracle_reproduces_the_vectors(file):
    content = json.loads(file.read_text())
    kind = np.dtype(content["dtype"])

    def numbers(values, name, kind=kind):
        exact = [float.fromhex(text) for text in np.atleast_1d(values[f"{name}_hex"])]
        assert same_bits(np.array(exact), np.array(values[name], float).reshape(-1))
        return np.array(exact, kind)

    replayed = 0
    for case in content["cases"]:
        if set(case["needs"]) & {"set", "lr per coordinate", "bounds"}:
            continue
        steps = case["steps"]
        grads = [None if step["grad"] is None else numbers(step, "grad") for step in steps]
        states = naive.run(
            content["rule"], numbers(case, "x0"), grads, lr=float(case["lr"]),
            etas=tuple(numbers(case, "etas", float)), step_sizes=tuple(numbers(case, "step_sizes", float)),
            maximize=case["maximize"], losses=[numbers(step, "loss", float)[0] for step in steps],
        )  # fmt: skip
        for (x, prev, size), step in zip(states, steps, strict=True):
            assert same_bits(x, numbers(step, "x"))
            assert same_bits(prev, numbers(step, "prev"))
            assert same_bits(size, numbers(step, "step_size"))
        replayed += 1
    assert replayed > 40


def test_ids_are_those_of_one_case_each():
    cases = conformance_cases([*available_reals(), "complex128", "complex64"])
    assert len({case.id for case in cases}) == len(cases) > 400
    assert {case.id for case in cases} >= {vector["id"] for file in FILES for vector in cases_of(file)}


def test_a_case_catches_the_mistakes_with_which_an_implementation_fails_it():
    """Here each mistake is an implementation that is called, as the referee calls one."""
    for claim, name in (("irprop-", "basics"), ("rprop+", "one coordinate, flips"), ("irprop+", "bounds")):
        (case,) = [c for c in conformance_cases(["float32"]) if c.name == name]
        (expected,) = expected_trajectories(claim, [case])
        rule = COMPOSITIONS[claim]
        (caught,) = deviations_caught(rule, deviations_from(rule), [expected])
        assert caught.in_x
        assert caught.in_state
        for deviation in deviations_from(rule):
            seen = observe(mutant(claim, deviation.name), case)
            differs = {
                quantity: not same_values(quantity, getattr(expected, quantity), values).all()
                for quantity, values in seen.shown().items()
            }
            in_state = not differs["x"] and any(differs.values())
            assert (deviation.name in caught.in_x) == differs["x"], deviation.name
            assert (deviation.name in caught.in_state) == in_state, deviation.name


@pytest.mark.parametrize(
    ("claim", "dtype"),
    thinned([(claim, dtype) for claim in RULES for dtype in conformance_vectors.RELEASED_DTYPES], 3),
)
@pytest.mark.exhaustive
def test_the_released_cases_catch_every_mistake_that_any_case_catches(claim, dtype):
    released = cases_of(RELEASED / "vectors" / f"{claim}.{dtype}.json")
    names = {name for case in released for name in case["catches"] + case["catches_by_state"]}
    # With irprop-, it differs from the rule only if the step is infinite: in a large case.
    names.add("stays at a flip")
    rule, expected = COMPOSITIONS[claim], expected_trajectories(claim, conformance_cases([dtype]))
    for caught in deviations_caught(rule, deviations_from(rule), expected):
        assert names.issuperset([*caught.in_x, *caught.in_state])


# --- a published version never changes ------------------------------------------------------------------------


def test_the_published_files_are_those_of_their_version():
    sums = (RELEASED / "SHA256SUMS").read_bytes()
    assert hashlib.sha256(sums).hexdigest() == PUBLISHED[conformance_vectors.VERSION]
    listed = dict(reversed(line.split("  ")) for line in sums.decode().splitlines())
    assert sorted(listed) == sorted(file.relative_to(RELEASED).as_posix() for file in FILES)
    for name, digest in listed.items():
        assert hashlib.sha256((RELEASED / name).read_bytes()).hexdigest() == digest


def without_catches(case):
    return {name: value for name, value in case.items() if not name.startswith("catches")}


@pytest.mark.exhaustive
def test_the_rules_still_do_what_was_published(tmp_path):
    """A mistake that has become known since need not be listed, and one that has been renamed may be."""
    written = [file for file in conformance_vectors.release(tmp_path) if file.suffix == ".json"]
    assert sorted(file.name for file in written) == [file.name for file in FILES]
    for file, published in zip(sorted(written), FILES, strict=True):
        for new, old in zip(cases_of(file), cases_of(published), strict=True):
            assert without_catches(new) == without_catches(old)
            for kind in ("catches", "catches_by_state"):
                assert set(new[kind]) >= set(old[kind]) & set(DEVIATIONS), old["id"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["irprop+.float16.json", "irprop-.complex64.json"])
def test_files_that_are_not_in_the_folder_do_not_change_either(name, tmp_path):
    claim, dtype, _ = name.rsplit(".", 2)
    (file,) = crosscheck.export(tmp_path, claim, [dtype])
    assert file.name == name
    content = json.dumps([without_catches(case) for case in cases_of(file)])
    assert hashlib.sha256(content.encode()).hexdigest() == VERSION_3[name]


@pytest.mark.exhaustive
def test_a_published_file_is_not_overwritten_with_others_of_its_version(tmp_path, monkeypatch):
    monkeypatch.setattr(conformance_vectors, "RELEASED_NUMBERS", 1)
    monkeypatch.setattr(conformance_vectors, "RELEASED_LARGER", ())
    files = conformance_vectors.release(tmp_path)
    before = {file: file.read_bytes() for file in files}
    assert {file: file.read_bytes() for file in conformance_vectors.release(tmp_path)} == before

    monkeypatch.setattr(conformance_vectors, "RELEASED_NUMBERS", 2)
    with pytest.raises(ValueError, match=re.escape(f"{files[0]} would change, but is of version 3")):
        conformance_vectors.release(tmp_path)
    assert {file: file.read_bytes() for file in files} == before

    monkeypatch.setattr(conformance_vectors, "VERSION", 4)
    conformance_vectors.release(tmp_path)
    assert all(file.read_bytes() != before[file] for file in files)


# --- what the folder tells its reader -------------------------------------------------------------------------

#: `my_package`, as the README's program imports it.
PACKAGE = """
class Rprop:
    def __init__(self, x0, lr, etas, step_sizes, maximize):
        self.x, self.prev, self.size = x0, [0.0] * len(x0), [lr] * len(x0)
        self.etas, self.limits, self.way = etas, step_sizes, -1 if maximize else 1
    def step(self, grad):
        for i, g in enumerate(grad):
            g *= self.way
            p = g * self.prev[i]
            s = self.size[i] * (self.etas[1] if p > 0 else self.etas[0] if p < 0 else 1.0)
            self.size[i] = s = min(max(s, self.limits[0]), self.limits[1])
            move, g = (0.0, 0.0) if p < 0 else (g, g)
            self.x[i] -= ((move > 0) - (move < 0)) * s
            self.prev[i] = g
        return self.x
"""


@pytest.mark.parametrize(
    ("right", "wrong", "name"),
    [
        ("", "", None),
        ("(0.0, 0.0) if p < 0", "(g, 0.0) if p < 0", "moves on at a flip"),
        ("min(max(s, self.limits[0]), self.limits[1])", "max(min(s, self.limits[1]), self.limits[0])", "lower limit wins"),
        ("p = g * self.prev[i]", "p = g * self.prev[i]; p = 0.0 if abs(p) < 1e-27 else p", "products under 1e-27 are zero"),
    ],
    ids=["right", "moves on", "lower limit wins", "threshold"],
)  # fmt: skip
def test_the_program_of_the_readme_finds_the_cases_that_fail(right, wrong, name, tmp_path):
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (RELEASED / "README.md").read_text(encoding="utf-8"), re.S | re.M
    )
    assert right in PACKAGE
    (tmp_path / "my_package.py").write_text(PACKAGE.replace(right, wrong) if right else PACKAGE)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=RELEASED,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    failing = re.findall(r"^float64/\S+", done.stdout, re.M)
    (has,) = re.findall(r"HAS = (.*)", code)
    cases = [c for c in cases_of(RELEASED / "vectors" / "irprop-.float64.json") if set(c["needs"]) <= eval(has)]
    assert failing == [case["id"] for case in cases if name in case["catches"]]
    assert bool(failing) == bool(name)


def test_the_workflow_checks_a_program(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    text = (RELEASED / "workflow.yml").read_text(encoding="utf-8")
    variables = dict(re.findall(r"^      (PROGRAM|RULE): (\S+)", text, re.M))
    build, check = (re.search(rf"run: ({start}.*?)(?: # .*)?$", text, re.M)[1] for start in ("cc", "python"))
    shutil.copy(ROOT / "examples" / "crosscheck" / "rprop.c", tmp_path / "my_rprop.c")
    subprocess.run(shlex.split(build), cwd=tmp_path, check=True)
    # The interpreter of the test stands in for the one that the workflow installs.
    check = check.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
    environment = {**variables, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", check], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"This is {variables['RULE']}, to the last bit." in done.stdout
