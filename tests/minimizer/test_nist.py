"""The NIST problems: their data, derivatives and objectives, and how digits are counted.

The comparison with NIST's own files needs the .dat files of the StRD nonlinear-regression collection in
the folder that the environment variable NIST_STRD_DIR names; without it those tests are skipped.
"""

import dataclasses
import math
import os
import pathlib
import re
from typing import Any

import numpy as np
import pytest

from rprop_ref import nist
from rprop_ref.nist import PROBLEMS, Problem, correct_digits, get

NAMES = [
    "Misra1a",
    "Chwirut2",
    "DanWood",
    "BoxBOD",
    "Rat42",
    "Rat43",
    "MGH09",
    "MGH10",
    "Roszman1",
    "Thurber",
]
SHAPES = {
    "Misra1a": (14, 2),
    "Chwirut2": (54, 3),
    "DanWood": (6, 2),
    "BoxBOD": (6, 2),
    "Rat42": (9, 3),
    "Rat43": (15, 4),
    "MGH09": (11, 4),
    "MGH10": (16, 3),
    "Roszman1": (25, 4),
    "Thurber": (37, 7),
}

each_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)


def points(problem: Problem) -> list[np.ndarray]:
    """NIST's two starts and the certified parameters, each (n,)."""
    return [problem.starts[0], problem.starts[1], problem.certified]


def complex_step(problem: Problem, b: np.ndarray) -> np.ndarray:
    """Derivative (m, n) of the model's response at b, by complex step.

    For an analytic function Im f(b + ih) / h has error of order h**2 and no cancellation, so a tiny h
    gives nearly all digits. h is relative to b, as some parameters are of order 1e-6.
    """
    columns = []
    for j in range(b.size):
        h = 1e-30 * abs(b[j])
        shifted: Any = b.astype(np.complex128)
        shifted[j] += 1j * h
        columns.append(problem.model(shifted, problem.x)[0].imag / h)
    return np.column_stack(columns)


def test_problems_are_in_order() -> None:
    assert [p.name for p in PROBLEMS] == NAMES


@each_problem
def test_arrays_have_the_right_shapes(problem: Problem) -> None:
    m, n = SHAPES[problem.name]
    assert problem.x.shape == (m,)
    assert problem.y.shape == (m,)
    assert problem.starts.shape == (2, n)
    assert problem.certified.shape == (n,)
    for b in points(problem):
        yhat, jac = problem.model(b, problem.x)
        assert (yhat.shape, yhat.dtype) == ((m,), np.float64)
        assert (jac.shape, jac.dtype) == ((m, n), np.float64)
        f, g = problem.objective(b)
        assert type(f) is float
        assert (g.shape, g.dtype) == ((n,), np.float64)


@each_problem
def test_arrays_are_read_only(problem: Problem) -> None:
    for a in (problem.x, problem.y, problem.starts, problem.certified):
        assert a.dtype == np.float64
        assert a.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            a[...] = 0.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.rss = 0.0  # type: ignore[misc]


@each_problem
def test_the_formula_is_the_model(problem: Problem) -> None:
    """The text of the formula, evaluated, gives the response that the model computes."""
    names: dict[str, Any] = {"exp": np.exp, "arctan": np.arctan, "pi": np.pi, "x": problem.x}
    for b in points(problem):
        names.update({f"b{j + 1}": value for j, value in enumerate(b)})
        expected = eval(problem.formula, {"__builtins__": {}}, names)
        np.testing.assert_allclose(problem.model(b, problem.x)[0], expected, rtol=1e-12)


@each_problem
def test_the_derivative_equals_the_complex_step(problem: Problem) -> None:
    for b in points(problem):
        expected = complex_step(problem, b)
        error = np.max(np.abs(problem.model(b, problem.x)[1] - expected), axis=0)
        # The scale is the column's largest entry: NIST's parameters differ by up to nine orders.
        assert np.all(error <= 1e-10 * np.max(np.abs(expected), axis=0)), problem.name


@each_problem
def test_the_objective_at_the_certified_parameters_is_the_certified_sum(problem: Problem) -> None:
    """The certified residual sum of squares, to 5e-11.

    At a minimum, the rounding of the parameters to 11 digits enters squared. What remains is the rounding of the
    printed sum, at most 5e-11 relative.
    """
    f, _ = problem.objective(problem.certified)
    assert abs(f - problem.rss) <= 5e-11 * problem.rss


@each_problem
def test_the_certified_parameters_are_stationary(problem: Problem) -> None:
    """The gradient nearly vanishes there: the terms of each component cancel.

    What remains comes from the rounding of the parameters to 11 digits. It is largest for MGH10 (1.5e-6), whose
    response is several thousand times its residuals.
    """
    _, g = problem.objective(problem.certified)
    yhat, jac = problem.model(problem.certified, problem.x)
    scale = 2.0 * np.sum(np.abs(jac * (yhat - problem.y)[:, np.newaxis]), axis=0)
    assert np.all(np.abs(g) <= 1e-5 * scale)


@each_problem
def test_the_objective_and_its_gradient_are_accurate(problem: Problem) -> None:
    """f and g = 2 J^T r, against correctly rounded sums, and g against the complex step."""
    for b in points(problem):
        f, g = problem.objective(b)
        yhat, jac = problem.model(b, problem.x)
        r = yhat - problem.y
        np.testing.assert_allclose(f, math.fsum(r * r), rtol=1e-13)
        exact = complex_step(problem, b)
        for j in range(b.size):
            terms = 2.0 * jac[:, j] * r
            # Near the solution the terms cancel, so the error is relative to their size.
            size = math.fsum(np.abs(terms))
            assert abs(g[j] - math.fsum(terms)) <= 1e-13 * size
            assert abs(g[j] - math.fsum(2.0 * exact[:, j] * r)) <= 1e-10 * size


def test_the_objective_never_warns() -> None:
    """Overflow gives inf or nan and no warning (a warning would fail the test)."""
    f, g = get("Misra1a").objective([1.0, -1e3])
    assert f == math.inf
    assert not np.any(np.isfinite(g))
    f, g = get("MGH10").objective([1.0, 1e9, 1.0])
    assert f == math.inf
    f, g = get("Chwirut2").objective([0.0, 0.0, 0.0])
    assert not math.isfinite(f)
    # A saturated sigmoid is not an overflow: the response is 0 and the derivative with it.
    f, g = get("Rat42").objective([1.0, 1e6, 0.0])
    assert f == float(np.sum(get("Rat42").y ** 2))
    assert g.tolist() == [0.0, 0.0, 0.0]
    for problem in PROBLEMS:
        for value in (0.0, 1e300, -1e300, math.inf, math.nan):
            problem.objective(np.full(problem.certified.size, value))


def test_the_objective_does_not_change_its_argument() -> None:
    problem = get("Thurber")
    b = problem.starts[0].copy()
    problem.objective(b)
    assert b.tolist() == problem.starts[0].tolist()


def test_correct_digits_counts_digits() -> None:
    c = np.array([2.0, -4.0e-6])
    assert correct_digits(c, c) == 11.0
    assert correct_digits(c * (1.0 + 1e-14), c) == 11.0
    assert correct_digits(c * [1.0 + 1e-7, 1.0 - 1e-4], c) == pytest.approx(4.0, abs=1e-9)
    assert correct_digits(c * [1.0 + 1e-3, 1.0], c) == pytest.approx(3.0, abs=1e-9)
    assert correct_digits(c * [1.5, 1.0], c) == pytest.approx(math.log10(2.0))
    assert correct_digits([0.0, 0.0], c) == 0.0
    assert correct_digits(-c, c) == 0.0
    assert correct_digits([2.0, 1.7e308], c) == 0.0
    for bad in (math.nan, math.inf, -math.inf):
        assert correct_digits([2.0, bad], c) == 0.0
        assert correct_digits([bad, -4.0e-6], c) == 0.0
    assert type(correct_digits(c * 1.01, c)) is float
    with pytest.raises(ValueError, match="shape"):
        correct_digits([2.0], c)


def test_get_finds_a_problem_by_its_name() -> None:
    for problem in PROBLEMS:
        assert get(problem.name) is problem
    with pytest.raises(ValueError, match=r"'misra1a'.*Misra1a, Chwirut2, .*, Thurber"):
        get("misra1a")


def parse(text: str) -> dict[str, Any]:
    """Read one NIST .dat file.

    The file's head says on which lines the data are, counted from 1. The parameter rows read
    "b1 = start1 start2 certified deviation".
    """
    lines = text.splitlines()
    span = re.search(r"^ +Data +\(lines +(\d+) to +(\d+)\)", text, re.MULTILINE)
    stated = re.search(r"^Number of Observations: +(\d+)", text, re.MULTILINE)
    rss = re.search(r"^Residual Sum of Squares: +(\S+)", text, re.MULTILINE)
    level = re.search(r"^ +(\w+) Level of Difficulty", text, re.MULTILINE)
    reference = re.search(r"^Reference:(.*?)^Data:", text, re.MULTILINE | re.DOTALL)
    assert span is not None
    assert stated is not None
    assert rss is not None
    assert level is not None
    assert reference is not None
    first, last = int(span[1]), int(span[2])
    yx = [[float(v) for v in line.split()] for line in lines[first - 1 : last]]
    rows = re.findall(r"^ +b(\d+) = +(\S+) +(\S+) +(\S+) +\S+ *$", text, re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    return {
        "m": int(stated[1]),
        "y": [row[0] for row in yx],
        "x": [row[1] for row in yx],
        "starts": [[float(row[k]) for row in rows] for k in (1, 2)],
        "certified": [float(row[3]) for row in rows],
        "rss": float(rss[1]),
        "difficulty": level[1].lower(),
        "reference": " ".join(reference[1].split()),
    }


@each_problem
def test_the_data_equal_nists_files(problem: Problem) -> None:
    """Every number equals the one in NIST's file, to the last bit."""
    folder = os.environ.get("NIST_STRD_DIR")
    if not folder:
        pytest.skip("NIST_STRD_DIR is unset: it must name the folder with NIST's StRD .dat files")
    file = parse((pathlib.Path(folder) / f"{problem.name}.dat").read_text(encoding="ascii"))
    assert (file["m"], len(file["certified"])) == SHAPES[problem.name]
    assert len(file["y"]) == file["m"]
    assert problem.y.tolist() == file["y"]
    assert problem.x.tolist() == file["x"]
    assert problem.starts.tolist() == file["starts"]
    assert problem.certified.tolist() == file["certified"]
    assert problem.rss == file["rss"]
    assert problem.difficulty == file["difficulty"]
    # The source is the start of the reference: author, year and title without the publisher.
    assert file["reference"].startswith(problem.source)


def test_the_parser_reads_a_small_file() -> None:
    """The parser is tested also without NIST's files."""
    head = [
        "Dataset Name:  Tiny",
        "               Data              (lines 12 to 13)",
        "Reference:     Nobody, A. (1900).",
        "               A Title.",
        "",
        "Data:          1 Response  (y)",
        "               Lower Level of Difficulty",
        "  b1 =   500         250           2.5E+02  2.7E+00",
        "Residual Sum of Squares:                    1.5E-01",
        "Number of Observations:                            2",
        "Data:   y               x",
        "      10.07E0      77.6E0",
        "       1              .5E0",
    ]
    assert parse("\n".join(head)) == {
        "m": 2,
        "y": [10.07, 1.0],
        "x": [77.6, 0.5],
        "starts": [[500.0], [250.0]],
        "certified": [250.0],
        "rss": 0.15,
        "difficulty": "lower",
        "reference": "Nobody, A. (1900). A Title.",
    }


def test_the_module_imports_only_numpy() -> None:
    """And the standard library."""
    source = pathlib.Path(nist.__file__).read_text(encoding="utf-8")
    imported = set(re.findall(r"^ *(?:import|from) +(\w+)", source, re.MULTILINE))
    assert imported == {"collections", "dataclasses", "math", "numpy", "os", "re"}
