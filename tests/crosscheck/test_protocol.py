"""Programs that speak the protocol, in any language."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cases import sampled
from clients import CLIENT, client
from implementations import ours

import rprop_ref
from rprop_ref.crosscheck import CouldNotRun, Program, check, protocol
from rprop_ref.crosscheck._cases.case import Case
from rprop_ref.crosscheck._comparison.json_numbers import both_forms, both_forms_as_text, each_as_text
from rprop_ref.crosscheck._comparison.observe import observe

ROOT = Path(rprop_ref.__file__).parent.parent
CLIENTS = ROOT / "examples" / "crosscheck"


def test_a_program_agrees(tmp_path):
    with Program(client(tmp_path)) as program:
        assert program.name == "small"
        report = check(program, "irprop-", dtypes=program.dtypes, without=program.lacks, random=10)
    assert report.agrees, str(report)
    assert report.compared == ("x", "gradient")


# What a program does wrong, and what is reported.
BROKEN = [
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
    # It depends on timing whether this is an unasked line, or taken for the answer to a later question.
    ("print(json.dumps(a), flush=True)", "answers that repeat the id of the question cannot be mixed up"),
    ("a['id'] = 7", ", has the id 7"),
    ("sys.stdout.write('[' * 10_000_001); sys.stdout.flush()", "the answer to 'step' is not JSON: '[[["),
    ("a = {'x': '1234567890123456'}", "x should be a list of numbers, and is 1234567890123456"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "text"), sampled(BROKEN, BROKEN[::2]),
    ids=["crash", "hang", "not an object", "nonsense", "nothing", "words", "too few", "error", "missing line",
         "no UTF-8", "truth values", "digits in groups", "decimals as hexadecimals", "the same answer twice", "another id",
         "a long line", "a string"],
)  # fmt: skip
def test_a_program_that_breaks_the_protocol_is_reported(spoil, text, tmp_path, monkeypatch):
    hangs = "within" in text
    if hangs:  # each failure is waited for
        monkeypatch.setattr(protocol, "MAX_FAILURES", 2)
    # A short timeout only for programs that hang: starting one can take a while on a busy machine.
    with Program(client(tmp_path, spoil), timeout=0.7 if hangs else 10) as program:
        report = check(program, "irprop-", dtypes=["float64"], without=["nan"], random=0)
        assert program._failures <= protocol.MAX_FAILURES
    assert report.verdict == "could not run"
    assert report.diagnosis is None
    assert text in str(report)


def test_a_program_that_keeps_crashing_is_still_diagnosed(tmp_path):
    text = CLIENT.replace("SPOIL", "pass").replace("TWICE", "None").replace("HAS", "[]")
    text = text.replace("g = 0.0 if p < 0 else g\n", "g, m = (0.0, g) if p < 0 else (g, g)\n").replace(
        "((g > 0) - (g < 0)) * s", "((m > 0) - (m < 0)) * s")  # fmt: skip
    text = text.replace(
        'numbers(q["grad_hex"])):', 'numbers(q["grad_hex"])):\n            if abs(g) > 1e200: raise SystemExit(3)'
    )
    file = tmp_path / "client.py"
    file.write_text(text)
    with Program([sys.executable, str(file)]) as program:
        report = check(program, "irprop-", dtypes=["float64"], without=["nan"], random=20)
        assert program._failures == 5
    assert report.unsteady == []
    assert ("moves on at a flip",) in [e.names for e in report.diagnosis.explanations]
    assert "everything observed in" in str(report)


@pytest.mark.parametrize("op", ["new", "set", "save", "load", "step"])
def test_a_program_that_answers_twice_could_not_run(op, tmp_path):
    with Program(client(tmp_path, twice=op, has=["set", "save"])) as program:
        report = check(program, "irprop-", dtypes=["float64"], without=["nan", "step_sizes"], random=0)
    assert report.verdict == "could not run"
    assert report.divergences == []


def test_a_program_may_answer_new_with_x_if_it_repeats_the_id(tmp_path):
    text = CLIENT.replace("SPOIL", "pass").replace("TWICE", "None").replace("HAS", "[]")
    text = text.replace(
        "    print(json.dumps(a), flush=True)\n", "    print(json.dumps({**a, 'id': q['id']}), flush=True)\n"
    )
    file = tmp_path / "client.py"
    file.write_text(text.replace("{}, 0", "{'x': x}, 0"))
    with Program([sys.executable, str(file)]) as program:
        report = check(program, "irprop-", dtypes=program.dtypes, without=program.lacks, random=10)
    assert report.agrees, str(report)


def test_questions_are_the_json_of_both_forms():
    some = [0.1, -0.0, 0.0, 1e300, 5e-324, 3.0, np.nan, -np.nan, np.inf, -np.inf]
    values = {
        "x": np.array(some),
        "half": np.array([0.1, -0.0, np.nan, np.inf], np.float16),
        "complex": np.array(some[:2]) + 1j,
        "lr": np.float64(0.1),
        "nan": np.nan,
        "grad": None,
        "etas": np.array([0.5, 1.2]),
    }
    forms = {key: form for name, v in values.items() for key, form in both_forms(name, v).items()}
    assert f"{{{both_forms_as_text(**values)}}}" == json.dumps(forms)
    assert each_as_text("loss", np.array(some)) == [both_forms_as_text(loss=v) for v in some]
    rows = np.array([some, some[::-1]])
    assert each_as_text("grad", rows) == [both_forms_as_text(grad=row) for row in rows]


# Writes how many lines are waiting when it begins to answer them.
READS_ALL = """
import os
def lines():
    rest = b""
    while some := os.read(0, 1 << 20):
        *whole, rest = (rest + some).split(b"\\n")
        with open(FILE, "a") as file: file.write(f"{len(whole)} ")
        yield from whole
"""


@pytest.mark.parametrize("repeats_ids", [False, True])
def test_only_a_program_that_repeats_ids_gets_questions_before_it_has_answered(repeats_ids, tmp_path):
    python, file = client(tmp_path, has=["save"], repeats_ids=repeats_ids)
    text = READS_ALL.replace("FILE", repr(str(tmp_path / "waiting"))) + Path(file).read_text()
    Path(file).write_text(text.replace("in sys.stdin:", "in lines():"))
    with Program([python, file]) as program:
        report = check(program, "irprop-", dtypes=["float64"], without=["nan"], random=10)
    assert report.agrees, str(report)
    waiting = [int(n) for n in (tmp_path / "waiting").read_text().split()]
    assert (max(waiting) > 4) == repeats_ids
    assert max(waiting) >= 1


# What a program that repeats ids does at the third step of each run, and what becomes of the run.
ABANDONED = [
    ("a = {'error': 'no idea'}", "the program says: no idea", 2),
    ("a = {'x_hex': ['0.1'] * len(x)}", "x_hex should be a list of hexadecimal floats", 2),
    (
        "raise SystemExit('out of luck')",
        "the program ended instead of answering 'step' (status 1); it wrote: out",
        2,
    ),
    ("import time; time.sleep(60)", "no answer to 'step' within 0.7 s", 2),
    ("a = {'error': a['x_hex']}; q['id'] += 1", "which has the id", 0),
]


@pytest.mark.parametrize(
    ("spoil", "text", "steps"), ABANDONED, ids=["an error", "no numbers", "a crash", "a hang", "another id"]
)
def test_a_run_that_fails_leaves_no_answers_to_the_next(spoil, text, steps, tmp_path):
    spoil = f"\n          if len(x) == 5000: {spoil}"
    command = client(tmp_path, spoil, repeats_ids=True)
    g = np.ones((40, 5000))  # more than a pipe holds
    g[1::3] = -1
    long = Case("long", "", "float64", g, np.zeros(5000))
    short = Case("short", "", "float64", g[:, :4], np.zeros(4))
    with Program(command, timeout=0.7 if "sleep" in spoil else 10) as program:
        for _ in range(2):
            failed = observe(program, long)
            assert text in failed.error
            assert failed.steps == steps
            made = observe(program, short)
            assert made.error is None
            assert made.x.tobytes() == observe(ours("irprop-"), short).x.tobytes()


def test_a_question_that_a_pipe_does_not_hold_is_not_waited_for_without_end():
    hello = '{"protocol": 1, "name": "stops reading"}'
    text = (
        f"import time; input(); print('{hello}', flush=True); input(); print('{{}}', flush=True); time.sleep(600)"
    )
    with Program([sys.executable, "-c", text], timeout=2) as program:
        run = program(np.zeros(20_000), lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False)
        with pytest.raises(CouldNotRun, match="did not read a question within 2 s"):
            run.step(np.full(20_000, 0.1))


@pytest.mark.parametrize("timeout", [0, -1, np.inf, np.nan, 1e300, "a", None])
def test_an_impossible_timeout_is_refused(timeout, tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"timeout={timeout!r} should be a number of seconds, above 0")):
        Program([sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"], timeout=timeout)
    assert not (tmp_path / "ran").exists()


def test_a_closed_program_cannot_be_used(tmp_path):
    setting = {"lr": 0.1, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0), "maximize": False}
    program = Program(client(tmp_path))
    run = program(np.zeros(1), **setting)
    program.close()
    with pytest.raises(CouldNotRun, match="the program has been closed"):
        run.step(np.ones(1))
    with pytest.raises(CouldNotRun, match="the program has been closed"):
        program(np.zeros(1), **setting)


def test_a_program_that_does_not_start_is_reported(tmp_path):
    with pytest.raises(CouldNotRun, match="cannot run /nowhere/at/all: No such file"):
        Program("/nowhere/at/all")
    with pytest.raises(CouldNotRun, match=re.escape("it speaks protocol 9, not 1")):
        Program([sys.executable, "-c", "input(); print('{\"protocol\": 9}', flush=True); input()"])
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
def test_an_invalid_first_answer_is_reported(hello, text):
    with pytest.raises(CouldNotRun, match=re.escape(text)):
        Program([sys.executable, "-c", f"input(); print({json.dumps(hello)!r}, flush=True); input()"])


def test_an_unasked_line_is_reported():
    hello = json.dumps({"protocol": 1})
    with Program(
        [sys.executable, "-c", f"input(); print('''{hello}\n{hello}''', flush=True); input()"]
    ) as program:
        while not program._lines.waiting():
            time.sleep(0.01)
        with pytest.raises(CouldNotRun, match=re.escape("nobody asked for the line '{\"protocol\": 1}'")):
            program.ask({"op": "save"})


def test_processes_of_a_program_that_hangs_are_ended_with_it():
    if os.name != "posix":
        pytest.skip("there are no process groups")
    hello = json.dumps({"protocol": 1})
    with pytest.raises(CouldNotRun, match="no answer to 'new' within 1 s"):
        Program(["sh", "-c", f"read line; echo '{hello}'; sleep 600; true"], timeout=1)(
            np.zeros(1), lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False
        )


def test_processes_of_a_program_that_ends_are_ended_with_it(tmp_path):
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
    pytest.fail("the process is still running")


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


@pytest.fixture(scope="module")
def in_csharp(tmp_path_factory):
    if not (shutil.which("mcs") and shutil.which("mono")):
        pytest.skip("needs Mono and its C# compiler")
    program = tmp_path_factory.mktemp("csharp") / "Rprop.exe"
    subprocess.run(["mcs", "-warnaserror", f"-out:{program}", CLIENTS / "Rprop.cs"], check=True)
    return ["mono", str(program)]


@pytest.fixture(scope="module")
def in_python():
    return [sys.executable, str(CLIENTS / "rprop.py")]


@pytest.mark.parametrize("language", ["in_c", "in_csharp", "in_javascript", "in_python"])
def test_the_example_clients_agree(language, request):
    with Program(request.getfixturevalue(language)) as program:
        report = check(program, "irprop-", dtypes=program.dtypes, without=program.lacks)
    assert report.agrees, str(report)
    assert report.compared == ("x", "step_size", "prev", "gradient")
    assert "none" not in report.left_out
    assert "set" not in report.left_out


def test_the_mistake_of_a_c_program_is_named(tmp_path):
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
        report = check(program, "irprop-", dtypes=program.dtypes, without=program.lacks, random=10)
    assert [e.names for e in report.diagnosis.explanations] == [("moves on at a flip",)]
