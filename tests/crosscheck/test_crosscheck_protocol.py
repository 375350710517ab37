"""The protocol, the clients in C and JavaScript, the command line, and the conformance vectors."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import naive
import numpy as np
import pytest

import rprop_ref
from rprop_ref import cli, crosscheck
from rprop_ref.bits import same_bits
from rprop_ref.crosscheck import CouldNotRun, Program, check

ROOT = Path(rprop_ref.__file__).parent.parent
CLIENTS = ROOT / "examples" / "crosscheck"

#: A client in a few lines: iRprop- in float64. Tests spoil it here and there.
CLIENT = """
import json, sys
def numbers(texts): return [float.fromhex(t) for t in texts]
for line in sys.stdin:
    q = json.loads(line)
    if q["op"] == "hello": a = {"protocol": 1, "name": "small", "dtypes": ["float64"], "has": HAS}
    elif q["op"] == "set": a = {}; etas = numbers(q["etas_hex"]) if "etas_hex" in q else etas
    elif q["op"] == "save": a = {"state": [prev, size]}
    elif q["op"] == "load": (prev, size), a = q["state"], {}
    elif q["op"] == "new":
        x, lr, etas, limits = numbers(q["x0_hex"]), float.fromhex(q["lr_hex"]), numbers(q["etas_hex"]), numbers(q["step_sizes_hex"])
        prev, size, way, a, t = [0.0] * len(x), [lr] * len(x), -1 if q["maximize"] else 1, {}, 0
    elif q["op"] == "bye": break
    else:
        t += 1
        for i, g in enumerate(numbers(q["grad_hex"])):
            g *= way
            p = g * prev[i]
            s = size[i] * (etas[1] if p > 0 else etas[0] if p < 0 else 1.0)
            s = limits[0] if s < limits[0] else s
            size[i] = s = limits[1] if s > limits[1] else s
            g = 0.0 if p < 0 else g
            x[i] -= ((g > 0) - (g < 0)) * s
            prev[i] = g
        a = {"x_hex": [v.hex() for v in x]}
        if t == 3: SPOIL
    if q["op"] == TWICE: print(json.dumps(a), flush=True)
    print(json.dumps(a), flush=True)
"""


def client(tmp_path, spoil="pass", twice=None, has=()):
    file = tmp_path / "client.py"
    file.write_text(CLIENT.replace("SPOIL", spoil).replace("TWICE", repr(twice)).replace("HAS", repr([*has])))
    return [sys.executable, str(file)]


def test_a_program_agrees(tmp_path):
    with Program(client(tmp_path)) as program:
        assert program.name == "small"
        report = check(program, dtypes=program.dtypes, without=program.lacks, random=10)
    assert report.agrees, str(report)
    assert report.compared == ("x", "gradient")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        ("raise SystemExit('out of luck')", "the program ended instead of answering 'step' (status 1); it wrote: out of luck"),
        ("import time; time.sleep(60)", "no answer to 'step' within 0.7 s"),
        ("a = 7", "the answer to 'step' is not a JSON object: '7'"),
        ("print('hello there', flush=True)", "the answer to 'step' is not JSON: 'hello there'"),
        ("a = {}", "the answer to 'step' has neither x nor x_hex"),
        ("a = {'x': ['high']}", "x should be a list of numbers, and is ['high']"),
        ("a = {'x': [1, 2, 3]}", "x has 3 numbers for 16 coordinates"),
        ("a = {'error': 'no idea'}", "the program says: no idea"),
        ("continue", "no answer to 'step' within 0.7 s"),
        ("sys.stdout.buffer.write(bytes([255, 10])); sys.stdout.flush()", "the answer to 'step' is not JSON"),
        ("a = {'x': [True] * len(x)}", "x should be a list of numbers, and is [True, "),
        ("a = {'x': ['1_0'] * len(x)}", "x should be a list of numbers, and is ['1_0', "),
        ("a = {'x_hex': ['0.1'] * len(x)}", "x_hex should be a list of hexadecimal floats, such as '0x1.8p-3', and is ['0.1'"),
        ("print(json.dumps(a), flush=True)", "twice"),
        ("a['id'] = 7", ", has the id 7"),
        ("sys.stdout.write('[' * 10_000_001); sys.stdout.flush()", "the answer to 'step' is not JSON: '[[["),
        ("a = {'x': '1234567890123456'}", "x should be a list of numbers, and is 1234567890123456"),
    ],
    ids=["crash", "hang", "not an object", "nonsense", "nothing", "words", "too few", "error", "missing line",
         "no UTF-8", "truth values", "digits in groups", "decimals as hexadecimals", "the same answer twice", "another id",
         "a long line", "a string"],
)  # fmt: skip
def test_what_goes_wrong_is_reported_and_harms_nothing(spoil, text, tmp_path):
    # Starting takes a while on a busy machine, so only what hangs has little time.
    with Program(client(tmp_path, spoil), timeout=0.7 if "within" in text else 10) as program:
        report = check(program, dtypes=["float64"], without=["nan"], random=0)
        assert program._failures <= 5
    assert report.verdict == "could not run"
    assert report.diagnosis is None
    assert text in str(report) or (text == "twice" and "nobody asked for the line" in str(report))


def test_a_program_that_is_not_started_again_keeps_its_name(tmp_path):
    text = CLIENT.replace("SPOIL", "pass").replace("TWICE", "None").replace("HAS", "[]")
    text = text.replace("g = 0.0 if p < 0 else g\n", "g, m = (0.0, g) if p < 0 else (g, g)\n").replace(
        "((g > 0) - (g < 0)) * s", "((m > 0) - (m < 0)) * s")  # fmt: skip
    text = text.replace(
        'numbers(q["grad_hex"])):', 'numbers(q["grad_hex"])):\n            if abs(g) > 1e200: raise SystemExit(3)'
    )
    file = tmp_path / "client.py"
    file.write_text(text)
    with Program([sys.executable, str(file)]) as program:
        report = check(program, dtypes=["float64"], without=["nan"], random=20)
        assert program._failures == 5
    assert report.unsteady == []
    assert ("moves on at a flip",) in [e.names for e in report.diagnosis.explanations]
    assert "everything observed in" in str(report)


@pytest.mark.parametrize("op", ["new", "set", "save", "load", "step"])
def test_a_program_that_answers_twice_is_not_taken_for_another_rule(op, tmp_path):
    with Program(client(tmp_path, twice=op, has=["set", "save"])) as program:
        report = check(program, dtypes=["float64"], without=["nan", "step_sizes"], random=0)
    assert report.verdict == "could not run"
    assert report.divergences == []


def test_a_program_that_answers_new_with_x_may_say_that_it_is_that_answer(tmp_path):
    text = CLIENT.replace("SPOIL", "pass").replace("TWICE", "None").replace("HAS", "[]")
    text = text.replace(
        "    print(json.dumps(a), flush=True)\n", "    print(json.dumps({**a, 'id': q['id']}), flush=True)\n"
    )
    file = tmp_path / "client.py"
    file.write_text(text.replace("{}, 0", "{'x': x}, 0"))
    with Program([sys.executable, str(file)]) as program:
        report = check(program, dtypes=program.dtypes, without=program.lacks, random=10)
    assert report.agrees, str(report)


@pytest.mark.parametrize("timeout", [0, -1, np.inf, np.nan, 1e300, "a", None])
def test_a_timeout_that_is_none(timeout, tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"timeout={timeout!r} should be a number of seconds, above 0")):
        Program([sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"], timeout=timeout)
    assert not (tmp_path / "ran").exists()


def test_a_program_that_has_been_closed(tmp_path):
    setting = {"lr": 0.1, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0), "maximize": False}
    program = Program(client(tmp_path))
    run = program(np.zeros(1), **setting)
    program.close()
    with pytest.raises(CouldNotRun, match="the program has been closed"):
        run.step(np.ones(1))
    with pytest.raises(CouldNotRun, match="the program has been closed"):
        program(np.zeros(1), **setting)


def test_programs_that_do_not_start(tmp_path):
    with pytest.raises(CouldNotRun, match="cannot run /nowhere/at/all: No such file"):
        Program("/nowhere/at/all")
    with pytest.raises(CouldNotRun, match=re.escape("it speaks protocol 9, not 1")):
        Program([sys.executable, "-c", "print('{\"protocol\": 9}', flush=True); input(); input()"])
    with pytest.raises(CouldNotRun, match="ended"):
        Program([sys.executable, "-c", "pass"])
    with pytest.raises(CouldNotRun, match="the command is empty"):
        Program("  ")


@pytest.mark.parametrize(
    ("hello", "text"),
    [
        ({"error": "no licence"}, "the program says: no licence"),
        ({"protocol": 1, "dtypes": "float64"}, "'dtypes' should be a list, and is 'float64'"),
        (
            {"protocol": 1, "dtypes": ["double"]},
            "the answer to 'hello': 'dtypes' contains 'double'; choose from float64, ",
        ),
        (
            {"protocol": 1, "has": ["sets"]},
            "the answer to 'hello': 'has' contains 'sets'; choose from none, set, save",
        ),
        (
            {"protocol": 1, "lacks": ["maximise"]},
            "the answer to 'hello': 'lacks' contains 'maximise'; choose from maximize, ",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_greeting_that_makes_no_sense(hello, text):
    with pytest.raises(CouldNotRun, match=re.escape(text)):
        Program([sys.executable, "-c", f"print({json.dumps(hello)!r}, flush=True); input(); input()"])


def test_an_answer_too_many():
    hello = json.dumps({"protocol": 1})
    with Program([sys.executable, "-c", f"print('''{hello}\n{hello}''', flush=True); input()"]) as program:
        while program._lines.empty():
            time.sleep(0.01)
        with pytest.raises(CouldNotRun, match=re.escape("nobody asked for the line '{\"protocol\": 1}'")):
            program.ask({"op": "save"})


def test_what_a_program_has_started_is_ended_with_it():
    if os.name != "posix":
        pytest.skip("there are no process groups")
    hello = json.dumps({"protocol": 1})
    with pytest.raises(CouldNotRun, match="no answer to 'new' within 1 s"):
        Program(["sh", "-c", f"read line; echo '{hello}'; sleep 600; true"], timeout=1)(
            np.zeros(1), lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False
        )


def test_nothing_is_left_of_a_program_that_has_ended_well(tmp_path):
    if os.name != "posix":
        pytest.skip("there are no process groups")
    number = tmp_path / "number"
    python, file = client(tmp_path)
    start = f"sleep 600 >/dev/null 2>&1 </dev/null & echo $! > {number}; exec {python} {file}"
    with Program(["sh", "-c", start]) as program:
        program(np.zeros(1), lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False).step(np.ones(1))
    gone = time.monotonic() + 20
    while time.monotonic() < gone:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", number.read_text().strip()], check=False, capture_output=True, text=True
        )
        if state.stdout.strip()[:1] in ("", "Z"):
            return
        time.sleep(0.05)
    pytest.fail("it goes on")


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    program = tmp_path_factory.mktemp("c") / "rprop"
    subprocess.run([compiler, "-O2", "-Wall", "-Werror", "-o", program, CLIENTS / "rprop.c", "-lm"], check=True)
    return [str(program)]


@pytest.fixture(scope="module")
def in_javascript():
    if shutil.which("node") is None:
        pytest.skip("needs node")
    return ["node", str(CLIENTS / "rprop.js")]


@pytest.mark.parametrize("language", ["in_c", "in_javascript"])
def test_the_reference_clients(language, request):
    with Program(request.getfixturevalue(language)) as program:
        report = check(program, dtypes=program.dtypes, without=program.lacks)
    assert report.agrees, str(report)
    assert report.compared == ("x", "step_size", "prev", "gradient")
    assert "none" not in report.left_out
    assert "set" not in report.left_out


def test_a_c_program_with_a_mistake_is_told_what_it_is(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source = (CLIENTS / "rprop.c").read_text()
    wrong = source.replace("        prev[i] = gi;\n", "").replace(
        "        if (product < 0)\n            gi = 0;", "        prev[i] = product < 0 ? 0 : gi;"
    )
    assert wrong != source
    (tmp_path / "wrong.c").write_text(wrong)
    subprocess.run([compiler, "-o", tmp_path / "wrong", tmp_path / "wrong.c", "-lm"], check=True)
    with Program(str(tmp_path / "wrong")) as program:
        report = check(program, dtypes=program.dtypes, without=program.lacks, random=10)
    assert [e.names for e in report.diagnosis.explanations] == [("moves on at a flip",)]


# --- the command line -----------------------------------------------------------------------------------------

MODULE = """
import numpy as np
from rprop_ref import crosscheck
right = crosscheck.profile("torch")
wrong = crosscheck.mutant("irprop-", ["moves on at a flip"])
rounding = crosscheck.mutant("irprop-", ["etas in double"])
def broken(*args, **kwargs): raise RuntimeError("no licence")
number = 3
class Leaves(type(right(np.zeros(1)))):
    def __init__(self, x0, **setting): pass
    def step(self, grad, loss=None): raise SystemExit(0)
def talks(x0, **setting):
    print("here I am")
    return right(x0, **setting)
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    (tmp_path / "theirs.py").write_text(MODULE)
    (tmp_path / "raising.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("theirs", None)

    def run(*arguments):
        status = cli.main(["crosscheck", "--random", "5", *arguments])
        return status, capsys.readouterr()

    yield run
    sys.modules.pop("theirs", None)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["theirs:right", "--dtypes", "float64,float32"], 0, "This is irprop-, to the last bit."),
        (["theirs:wrong", "--dtypes", "float64"], 1, "* moves on at a flip (move)."),
        (["theirs:wrong", "--dtypes", "float64", "--claim", "rprop-", "--like"], 1, "Published implementations that behave like it:"),
        (["theirs:rounding", "--dtypes", "float32"], 1, "rounding differs by at most"),
        (["theirs:rounding", "--dtypes", "float32", "--ulps", "200"], 0, "rounding differs by at most"),
        (["theirs:broken", "--dtypes", "float64"], 2, "no licence"),
        (["theirs:Leaves", "--dtypes", "float64"], 2, "SystemExit: 0"),
        (["--profile", "shark-3", "--dtypes", "float64", "--claim", "irprop-go"], 1, "* one limit per branch (clamp)."),
    ],
)  # fmt: skip
def test_the_command_line(arguments, status, text, command):
    got, printed = command(*arguments)
    assert got == status
    assert text in printed.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["theirs"], "'theirs' should be MODULE:FACTORY"),
        (["theirs:"], "'theirs:' should be MODULE:FACTORY"),
        (["raising:x"], "cannot load raising:x: RuntimeError: no licence"),
        (["--export", "theirs.py/deeper"], "cannot write to theirs.py/deeper: Not a directory"),
        (["--cmd", ""], "the command is empty"),
        (["theirs:nobody"], "cannot load theirs:nobody: module 'theirs' has no attribute 'nobody'"),
        (["nowhere:x"], "cannot load nowhere:x: No module named 'nowhere'"),
        (["theirs:number"], "theirs:number is not callable"),
        (["theirs:right", "--dtypes", "int8"], "unknown dtype 'int8'"),
        (["--cmd", "/nowhere/at/all"], "cannot run /nowhere/at/all"),
        (["theirs.py:right"], "'theirs.py:right' should begin with a module"),
        (["--cmd", "cat", "--timeout", "inf"], "timeout=inf should be a number of seconds"),
        (["--export", ""], "--export needs the name of a folder"),
        (["--export", "new", "--dtypes", "float6"], "unknown dtype 'float6'; choose from float64, "),
        (["theirs:right", "--ulps", "-1"], "--ulps -1 should be a number, 0 or larger"),
        (["theirs:right", "--random", "-3"], "random=-3 should be an integer, 0 or larger"),
        (["theirs:right", "--seed", "-3"], "seed=-3 should be an integer, 0 or larger"),
        (["theirs:right", "--dtypes", ""], "dtypes is empty; choose from float64, "),
        (["--export", "new", "--dtypes", ""], "dtypes is empty; choose from float64, "),
        (["--cmd", "python '"], 'the command "python \'" cannot be read: No closing quotation'),
        (["theirs:right", "--json", "--like"], "--like adds to the report as text"),
        (
            ["theirs:broken", "--dtypes", "float64", "--like"],
            "no case could be run: RuntimeError: no licence (theirs.py:",
        ),
    ],
)
def test_what_cannot_be_run(arguments, text, command):
    status, printed = command(*arguments)
    assert status == 2
    assert text in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not Path("new").exists()


def test_json_and_html(command):
    status, printed = command("theirs:wrong", "--dtypes", "float64", "--json")
    assert status == 1
    assert json.loads(printed.out)["diagnosis"]["explanations"][0][0]["name"] == "moves on at a flip"
    status, printed = command("theirs:talks", "--dtypes", "float64", "--html")
    assert status == 0
    assert printed.out.startswith("<!DOCTYPE html>")
    assert "here I am" in printed.err


def test_a_program_on_the_command_line(tmp_path, command):
    status, printed = command("--cmd", " ".join(client(tmp_path)), "--without", "nan")
    assert status == 0
    assert "to the last bit" in printed.out


# --- conformance vectors --------------------------------------------------------------------------------------

#: What version 2 is. Files of a published version never change: if this test fails, make a new version.
VERSION_2 = {
    "irprop-.float64.json": "00727f4c57f143839b1a0d54d49a56895461e3a1edad14fa328a12f9e15b9ea8",
    "rprop+.float32.json": "b3999a49223c6bd7cff5d6c641fe8046e71888a26ae42b5903e26eaeffb0e9f0",
    "irprop+.float16.json": "74da1362459aa2c55541e440cc55addc06b90f9e1da4e2bedc403c4c5533df36",
}


def test_vectors_replay_with_the_oracle(tmp_path):
    for file in crosscheck.export(tmp_path / "vectors", "rprop+", ["float64", "float32"]):
        content = json.loads(file.read_text())
        kind = np.dtype(content["dtype"])
        assert content["version"] == 2

        def numbers(texts, kind=kind):
            return np.array([float.fromhex(t) for t in texts], kind)

        replayed = 0
        for case in content["cases"]:
            assert case["reason"]
            if set(case["needs"]) & {"set", "lr per coordinate", "bounds"}:
                continue
            grads = [None if s["grad"] is None else numbers(s["grad"]) for s in case["steps"]]
            states = naive.run(
                content["rule"], numbers(case["x0"]), grads, lr=float.fromhex(case["lr"]),
                etas=tuple(numbers(case["etas"], float)), step_sizes=tuple(numbers(case["step_sizes"], float)),
                maximize=case["maximize"],
            )  # fmt: skip
            for (x, prev, size), step in zip(states, case["steps"], strict=True):
                assert same_bits(x, numbers(step["x"]))
                assert same_bits(prev, numbers(step["prev"]))
                assert same_bits(size, numbers(step["step_size"]))
            replayed += 1
        assert replayed > 35


@pytest.mark.parametrize("name", VERSION_2)
def test_a_published_version_never_changes(name, tmp_path):
    claim, dtype, _ = name.rsplit(".", 2)
    (file,) = crosscheck.export(tmp_path, claim, [dtype])
    assert file.name == name
    assert hashlib.sha256(file.read_bytes()).hexdigest() == VERSION_2[name]


def test_export_on_the_command_line(tmp_path, command):
    status, printed = command("--export", str(tmp_path / "out"), "--dtypes", "float16")
    assert status == 0
    assert printed.out.strip() == str(tmp_path / "out" / "irprop-.float16.json")
    assert (tmp_path / "out" / "irprop-.float16.json").exists()
