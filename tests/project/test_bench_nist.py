"""The models of `benchmarks.nist`, and the reader of NIST's files."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import nist as bench
from rprop_ref import minimize, nist

NAMES = sorted(bench._models)

pytestmark = pytest.mark.skipif(
    bench.folder() is None, reason="NIST_STRD_DIR is unset: it must name the folder with NIST's StRD .dat files"
)


def read(name):
    return nist.read(bench.folder() / f"{name}.dat")


def evaluate(name, b):
    """Predictions (m,) and derivatives (n, m) by the uncompiled model, for all observations at once."""
    file = read(name)
    d = np.zeros((b.size, file.y.size), b.dtype)
    return bench._models[name].py_func(b, file.x.T, d), d


def test_there_is_a_model_for_each_of_the_27_files():
    assert len(NAMES) == 27
    assert sorted(f.stem for f in bench.folder().glob("*.dat")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_sum_of_squares_is_the_certified_one(name):
    file = read(name)
    assert file.name == name
    y = np.log(file.y) if name == "Nelson" else file.y
    rss = float(np.sum((y - evaluate(name, file.certified)[0]) ** 2))
    # If the data have no noise, the sum of squares shows only how the certified values are rounded.
    assert rss == pytest.approx(file.rss, rel=1e-9, abs=1e-17 * float(y @ y))


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_equal_those_of_the_complex_step(name):
    file = read(name)
    for b in (*file.starts, file.certified):
        derivatives = evaluate(name, b)[1]
        for j in range(b.size):
            h = 1e-30 * abs(b[j])
            shifted = b.astype(complex)
            shifted[j] += 1j * h
            exact = evaluate(name, shifted)[0].imag / h
            assert np.max(np.abs(derivatives[j] - exact)) <= 1e-10 * np.max(np.abs(exact)), (name, j)


@pytest.mark.parametrize("name", [p.name for p in nist.PROBLEMS])
def test_the_reader_agrees_with_the_problems_in_the_package(name):
    typed, file = nist.get(name), read(name)
    assert file.x.shape == (typed.y.size, 1)
    assert file.x[:, 0].tolist() == typed.x.tolist()
    assert file.y.tolist() == typed.y.tolist()
    assert file.starts.tolist() == typed.starts.tolist()
    assert file.certified.tolist() == typed.certified.tolist()
    assert file.rss == typed.rss


def test_a_file_with_two_predictors_is_read():
    file = read("Nelson")
    assert file.x.shape == (128, 2)
    assert file.x[0].tolist() == [1.0, 180.0]


def test_the_compiled_objective_equals_the_one_of_the_package():
    problem = next(p for p in bench.problems(bench.folder()) if p.file.name == "Misra1a")
    start = problem.file.starts[0]
    g = np.full(2, np.nan)
    f = problem.fun(start, g, *problem.args)
    expected = nist.get("Misra1a").objective(start)
    assert f == pytest.approx(expected[0], rel=1e-13)
    np.testing.assert_allclose(g, expected[1], rtol=1e-11)


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "other.dat"
    file.write_text("Dataset Name:  Other\n")
    with pytest.raises(ValueError, match="is not a file of NIST's nonlinear regression datasets"):
        nist.read(file)


@pytest.mark.exhaustive
def test_claims_of_success_have_six_digits():
    """Of Eckerle4, b2 may have either sign. Long runs get deep into flat valleys, and claim the most.

    Also in Lanczos' valleys, where rounding errors let runs come to rest with three; elsewhere with more than six.
    """
    solved = claims = 0
    wrong = []
    for problem in bench.problems(bench.folder()):
        for start in problem.file.starts:
            r = minimize(problem.fun, start, args=problem.args, maxiter=1_000_000)
            if problem.file.name == "Eckerle4":
                r.x[1] = abs(r.x[1])  # the same minimum
            digits = nist.correct_digits(r.x, problem.file.certified)
            solved += digits >= 6
            claims += r.success
            enough = digits >= 6 if problem.file.name.startswith("Lanczos") else digits > 6
            if r.success and not enough:
                wrong.append((problem.file.name, digits, r.message))
    assert not wrong
    assert solved >= 45
    assert claims >= 37
