"""The harness of `benchmarks.problems`: its problems, how it counts, how it runs, and what it concludes."""

from __future__ import annotations

import dataclasses
import json
import math
import time

import numpy as np
import pytest

import rprop_ref
from benchmarks.problems import __main__ as command
from benchmarks.problems import bbob, cutest, merging, mgh, page, profiles
from benchmarks.problems.evaluations import EndOfRunError, Evaluations
from benchmarks.problems.ideas import IDEAS, follow
from benchmarks.problems.methods import METHODS
from benchmarks.problems.modes import MODES, UNDISTURBED, rng_of
from benchmarks.problems.problem import Problem
from benchmarks.problems.runner import Limits, Pair, read, run, run_one
from benchmarks.problems.suites import SUITES, half
from rprop_ref.bits import same_bits

#: Values at the starts, as published or, where the paper has none, from MINPACK's tests and CUTEst.
VALUES_AT_STARTS = {
    "rosenbrock": 24.2,
    "freudenstein_roth": 400.5,
    "powell_badly_scaled": 1.135262,
    "brown_badly_scaled": 999998000003.0,
    "beale": 14.203125,
    "jennrich_sampson": 4171.306,
    "helical_valley": 2500.0,
    "bard": 41.68170,
    "gaussian": 3.888107e-6,
    "meyer": 1.693608e9,
    "gulf": 12.11070,
    "box": 1031.154,
    "powell_singular": 215.0,
    "wood": 19192.0,
    "kowalik_osborne": 5.313172e-3,
    "brown_dennis": 7926693.336997,
    "osborne_1": 0.8790263,
    "biggs_exp6": 0.7790701,
    "osborne_2": 2.093420,
    "watson": 30.0,
    "extended_rosenbrock": 121.0,
    "extended_powell_singular": 645.0,
    "penalty_1": 148032.565,
    "variably_dimensioned": 2198551.1625,
    "brown_almost_linear": 273.248046875,
    "linear_full_rank": 50.0,
    "chebyquad": 3.861770e-2,
}


def bowl(suite="made", name="bowl", **fields):
    return Problem(suite, name, np.array([3.0, -4.0]), lambda x: (float(x @ x), 2 * x), **fields)


def evaluations(problem, mode="exact", budget=100, seed=0):
    observed = MODES[mode].make(problem, rng_of(problem, mode, seed))
    return Evaluations(observed, budget, math.inf)


# Problems


def test_there_are_35_problems():
    assert len(mgh.names()) == 35


@pytest.mark.parametrize("name", VALUES_AT_STARTS)
def test_the_value_at_the_start_is_the_published_one(name):
    problem = mgh.load("mgh", name)
    assert problem.true_value(problem.x0) == pytest.approx(VALUES_AT_STARTS[name], rel=1e-6)


@pytest.mark.parametrize("name", mgh.names())
def test_gradients_agree_with_differences(name):
    problem = mgh.load("mgh", name)
    f, g = problem.value_and_gradient(problem.x0)
    assert f == pytest.approx(problem.true_value(problem.x0), rel=1e-12)
    for i, x in enumerate(problem.x0):
        h = 1e-6 * max(1.0, abs(x))
        ahead, behind = problem.x0.copy(), problem.x0.copy()
        ahead[i] += h
        behind[i] -= h
        slope = (problem.true_value(ahead) - problem.true_value(behind)) / (2 * h)
        assert slope == pytest.approx(g[i], rel=1e-4, abs=1e-4 * np.max(np.abs(g)))


@pytest.mark.parametrize("name", mgh.names())
def test_least_squares_finds_a_published_minimum(name):
    from scipy.optimize import least_squares

    entry = mgh.ENTRIES[name]
    with np.errstate(all="ignore"):
        lowest = 2 * least_squares(entry.residuals, entry.x0, xtol=1e-14, ftol=1e-14, gtol=1e-14).cost
    assert any(lowest == pytest.approx(value, rel=2e-6, abs=1e-12) for value in entry.minima), lowest


def test_the_sum_of_absolute_residuals_has_its_gradient():
    problem = mgh.load("mgh", "rosenbrock")
    f, g = problem.absolute(problem.x0)
    assert f == pytest.approx(4.4 + 2.2)
    assert g == pytest.approx([-24.0 - 1.0, -10.0])


def test_every_suite_lists_its_problems_once():
    for suite in SUITES.values():
        assert len(set(suite.names())) == len(suite.names()) > 0
    assert (len(cutest.UNCONSTRAINED), len(cutest.BOUNDED)) == (118, 68)


def test_both_halves_have_about_half_of_the_problems():
    names = [name for suite in SUITES.values() for name in suite.names()]
    assert 0.4 < sum(half(name) == "choosing" for name in names) / len(names) < 0.6


@pytest.mark.skipif(cutest.missing() is not None, reason=str(cutest.missing()))
def test_a_cutest_problem_is_loaded_with_its_gradient():
    problem = cutest.load("cutest-bounded", "HS1")
    f, g = problem.value_and_gradient(problem.x0)
    assert g.shape == (2,)
    assert f == pytest.approx(909.0)
    assert problem.bounds[0].tolist() == [-np.inf, -1.5]


@pytest.mark.skipif(bbob.missing() is not None, reason=str(bbob.missing()))
def test_a_bbob_problem_is_loaded():
    problem = bbob.load("bbob", "f1-5")
    assert problem.value_and_gradient is None
    assert math.isfinite(problem.true_value(problem.x0))


@pytest.mark.skipif(bbob.missing() is not None, reason=str(bbob.missing()))
@pytest.mark.parametrize("name", [name for name in bbob.noisy_names() if name.endswith("-2")])
def test_a_function_with_noise_is_the_one_without_and_noise(name):
    """One of the values shown is near the true one, but for the constant of Cauchy's noise."""
    problem = bbob.load_noisy("bbob-noisy", name)
    shown = np.array([problem.shown(problem.x0) for _ in range(500)])
    true = problem.true_value(problem.x0)
    constants = (0.0, 0.0) if (int(name[1:4]) - 101) % 3 < 2 else (10.0, 1000.0)
    nearest = min(np.min(np.abs(shown - constant - true)) for constant in constants)
    assert nearest < 0.05 * (np.ptp(np.quantile(shown, [0.25, 0.75])) or 1e-3)
    assert len(set(shown)) > 1


def test_a_problem_with_noise_of_its_own_shows_it_and_records_the_true_value():
    problem = dataclasses.replace(
        bowl(), value_and_gradient=None, value=lambda x: float(x @ x), shown=lambda x: -1.0, difference=0.5
    )
    e = evaluations(problem)
    assert e.value(np.array([3.0, 4.0])) == -1.0
    assert [(k, f) for k, _, f in e.curve] == [(1, 25.0)]
    e = evaluations(problem, "badly-scaled")
    units = e.problem.x0 / problem.x0
    assert e.value(np.array([3.0, 4.0]) * units) == -1.0
    assert e.curve[0][2] == pytest.approx(25.0)


def test_finite_differences_stay_within_the_bounds():
    problem = dataclasses.replace(
        bowl(bounds=(np.array([-5.0, -5.0]), np.array([5.0, 5.0]))),
        value_and_gradient=None,
        value=lambda x: float(x @ x),
        difference=0.1,
    )
    assert evaluations(problem)(np.array([5.0, -4.9]))[1].tolist() == pytest.approx([9.5, -9.31])


# Counting


def test_only_improvements_of_the_true_value_are_recorded():
    e = evaluations(bowl())
    for x in ([3.0, 0.0], [4.0, 0.0], [1.0, 0.0]):
        e(np.array(x))
    assert [(k, f) for k, _, f in e.curve] == [(1, 9.0), (3, 1.0)]
    assert e.count == 3


def test_under_noise_the_true_value_is_recorded():
    e = evaluations(bowl(), "noise-1e-1")
    f, g = e(np.array([3.0, 4.0]))
    assert f != 25.0
    assert g.tolist() != [6.0, 8.0]
    assert e.curve[-1][2] == 25.0


def test_a_long_record_is_thinned_and_counts_are_at_most_a_hundredth_late():
    e = evaluations(bowl(), budget=10_000)
    for k in range(1, 10_001):
        e(np.array([1.0 / k, 0.0]))
    assert len(e.curve) < 1200
    for goal in (10, 100, 1234, 9999):
        first = next(k for k, _, f in e.curve if f <= 1.0 / goal**2)
        assert goal <= first <= max(goal + 1, goal * 1.011)


def test_the_budget_ends_a_run():
    e = evaluations(bowl(), budget=2)
    e(np.zeros(2))
    e(np.zeros(2))
    with pytest.raises(EndOfRunError):
        e(np.zeros(2))


def test_differences_cost_an_evaluation_for_each_variable():
    problem = Problem("made", "values", np.array([3.0, -4.0]), None, value=lambda x: float(x @ x))
    e = evaluations(problem)
    f, g = e(problem.x0)
    assert e.count == 3
    assert f == 25.0
    assert g == pytest.approx([6.0, -8.0], rel=1e-6)


def test_points_outside_the_bounds_are_moved_in():
    e = evaluations(bowl(bounds=(np.array([1.0, -5.0]), np.array([5.0, 5.0]))))
    assert e(np.array([0.0, 9.0]))[0] == 26.0


@pytest.mark.parametrize("mode", [name for name, mode in MODES.items() if mode.objective == "value"])
def test_a_mode_keeps_the_true_values_and_repeats_with_its_seed(mode):
    problem = bowl()
    first, again, other = (MODES[mode].make(problem, rng_of(problem, mode, seed)) for seed in (1, 1, 2))
    x, seen = first.problem.x0, []
    for _ in range(2):
        (f, g, true), (f2, g2, _) = first.value_and_gradient(x), again.value_and_gradient(again.problem.x0)
        assert true == pytest.approx(25.0)
        assert (f, g.tolist()) == (f2, g2.tolist())
        seen.append(g.tolist())
    if MODES[mode].seeded:
        assert other.value_and_gradient(other.problem.x0)[1].tolist() != seen[0]
        assert (seen[0] != seen[1]) == (mode != "badly-scaled")


def test_signs_only_have_no_lengths():
    problem = bowl()
    g = MODES["signs-only"].make(problem, rng_of(problem, "x", 0)).value_and_gradient(problem.x0)[1]
    assert g.tolist() == [1, -1]


def test_wrong_lengths_keep_the_signs():
    problem = bowl()
    g = MODES["wrong-lengths"].make(problem, rng_of(problem, "x", 0)).value_and_gradient(problem.x0)[1]
    assert np.sign(g).tolist() == [1, -1]
    assert g.tolist() != [6.0, -8.0]


# Running


@pytest.mark.parametrize("name", METHODS)
def test_every_method_solves_a_bowl(name):
    method = METHODS[name]
    if method.missing():
        pytest.skip(method.missing())
    if name.startswith("optax"):
        pytest.skip("compiles for seconds")
    problem = bowl()
    record = run_one(problem, Pair("made", "bowl", "exact", 0, name), method, Limits(budget=600))
    assert record["f0"] == 25.0
    assert record["evaluations"] <= 600
    assert not record["end"].startswith("raised"), record["end"]
    assert record["curve"][-1][2] < (20.0 if name in ("adam-0.001", "adam-0.01") else 0.1)


def load_made(suite, name):
    """A problem whose first method call hangs, one that kills its process, and bowls."""
    if name == "hangs":

        def hang(x):
            time.sleep(60)

        return Problem(suite, name, np.ones(2), hang)
    if name == "dies":

        def die(x):
            import os

            os._exit(3)

        return Problem(suite, name, np.ones(2), die)
    if name == "missing":
        raise KeyError(name)
    return bowl(suite, name)


@pytest.mark.exhaustive
def test_runs_are_resumed_and_what_hangs_or_dies_costs_only_itself(tmp_path):
    file = tmp_path / "runs.jsonl"
    limits = Limits(budget=5000, seconds=0.5)
    pairs = [Pair("made", name, "exact", 0, "rprop") for name in ("dies", "missing", "a", "hangs")]
    pairs += [Pair("made", "hangs", "kinks", 0, "rprop"), Pair("made", "b", "exact", 0, "rprop")]
    run(pairs[:3], file, limits, 1, load_made)
    assert [(r["problem"], r["end"].split(":")[0]) for r in read(file)] == [
        ("dies", "its process ended"),
        ("missing", "not loaded"),
        ("a", "returned"),
    ]
    before = file.read_text()
    file.write_text(before + '{"suite": "cut o')
    shown = []
    run(pairs, file, limits, 2, load_made, lambda *progress: shown.append(progress))
    ends = {(r["problem"], r["mode"]): r["end"] for r in read(file)}
    assert file.read_text().startswith(before)
    assert len(shown) == 3 and shown[-1][:2] == (3, 3)
    assert ends["hangs", "exact"] == "hung"
    assert ends["hangs", "kinks"] == "does not fit"
    assert ends["b", "exact"] == "returned"


# Ideas


@pytest.mark.exhaustive
@pytest.mark.parametrize("idea", ["today", "rprop+", "irprop+", "rprop-", "irprop-go"])
@pytest.mark.parametrize("name", ["rosenbrock", "powell_badly_scaled", "gulf"])
def test_without_changes_the_iterates_are_those_of_minimize(name, idea):
    problem = mgh.load("mgh", name)
    variant = {"today": "irprop-"}.get(idea, idea)
    seen = []

    def fun(x):
        f, g = problem.value_and_gradient(x)
        seen.append(f)
        return f, g

    rprop_ref.minimize(fun, problem.x0, jac=True, variant=variant, maxfev=200, xtol=0, gtol=0, pattern_every=None)
    # `minimize` does not evaluate a point twice in a row.
    values = follow(problem, [IDEAS[idea], IDEAS["pattern-20"]], 0.0, 0, 400)[:, 0]
    kept = values[np.r_[True, values[1:] != values[:-1]]]
    assert same_bits(kept[:150], np.array(seen)[:150])


@pytest.mark.exhaustive
def test_without_changes_bounds_are_kept_as_by_minimize():
    bounds = np.array([-1.5, -3.0]), np.array([0.8, 2.0])
    problem = dataclasses.replace(mgh.load("mgh", "rosenbrock"), bounds=bounds)
    seen = []

    def fun(x):
        f, g = problem.value_and_gradient(x)
        seen.append(f)
        return f, g

    # Ideas begin with the first steps that were the default when they were measured.
    options = {"lr": 0.01 * np.abs(problem.x0), "maxfev": 200, "xtol": 0, "gtol": 0, "pattern_every": None}
    rprop_ref.minimize(fun, problem.x0, jac=True, bounds=list(zip(*bounds)), **options)
    values = follow(problem, [IDEAS["today"], IDEAS["shrink"]], 0.0, 0, 400)[:, 0]
    kept = values[np.r_[True, values[1:] != values[:-1]]]
    assert same_bits(kept[:150], np.array(seen)[:150])


@pytest.mark.exhaustive
def test_every_idea_finds_the_minimum_of_a_bowl_in_a_box():
    problem = bowl(bounds=(np.array([1.0, -9.0]), np.array([9.0, 9.0])))
    values = follow(problem, list(IDEAS.values()), 0.0, 0, 1500)
    lowest = dict(zip(IDEAS, np.min(values, axis=0)))
    assert not {name: f for name, f in lowest.items() if not f < 1.01}


# Concluding


def record(problem, method, curve, f0=1.0, mode="exact", seed=0, n=1):
    names = {"suite": "made", "problem": problem, "mode": mode, "seed": seed, "method": method}
    return {**names, "n": n, "f0": f0, "end": "budget", "curve": curve}


def made_rows():
    return profiles.rows(
        [
            record("p", "A", [[1, 0.1, 1.0], [10, 0.2, 0.0005], [40, 0.4, 0.0]]),
            record("p", "B", [[1, 0.1, 1.0], [20, 0.1, 0.0]]),
            record("q", "A", [[1, 0.1, 1.0], [100, 0.5, 0.5]]),
            record("q", "B", [[1, 0.1, 1.0], [30, 0.3, -1.0]]),
            record("r", "A", []) | {"end": "does not fit"},
        ],
        {"exact": "exact"},
    )


def test_costs_are_those_of_the_first_point_that_is_low_enough():
    rows = {(row.problem, row.method): row.costs for row in made_rows()}
    assert rows == {
        ("p", "A"): ((10, 0.2), (40, 0.4)),
        ("p", "B"): ((20, 0.1), (20, 0.1)),
        ("q", "A"): (profiles.NEVER, profiles.NEVER),
        ("q", "B"): ((30, 0.3), (30, 0.3)),
    }


def test_the_lowest_value_is_that_of_a_mode_and_of_the_one_that_nothing_spoils():
    records = [
        record("p", "A", [[1, 0, 1.0], [5, 0, 0.5]]),
        record("p", "A", [[1, 0, 1.0], [9, 0, 0.0]], mode="noise"),
        record("p", "A", [[1, 0, 1.0], [9, 0, 0.7]], mode="more noise"),
        record("p", "A", [[1, 0, 1.0], [9, 0, -5.0]], mode="kinks"),
    ]
    undisturbed = {"exact": "exact", "noise": "exact", "more noise": "exact", "kinks": "kinks"}
    lowest = profiles.lowest_values(records, undisturbed)
    values = {"exact": 0.5, "noise": 0.0, "more noise": 0.5, "kinks": -5.0}
    assert lowest == {("made", "p", mode): value for mode, value in values.items()}
    known = dataclasses.replace(made_rows()[0], problem="p", mode="exact", best=0.1)
    lowest = profiles.lowest_values(records, undisturbed, [known, dataclasses.replace(known, best=np.nan)])
    values |= {"exact": 0.1, "more noise": 0.1}
    assert lowest == {("made", "p", mode): value for mode, value in values.items()}


def test_a_new_mode_is_measured_by_the_published_runs_without_noise():
    """Published ideas count for ideas alone."""
    published = [
        dataclasses.replace(made_rows()[0], suite="mgh", problem="p", mode=mode, method=method, best=best)
        for mode, method, best in (
            ("exact", "rprop", -1.0),
            ("exact", merging.PREFIX + "today", -3.0),
        )
    ]
    curve = [[1, 0, 1.0], [5, 0, -1.0], [9, 0, -3.0]]
    new = [
        {**record("p", method, curve[:length], mode="noise-1e-3"), "suite": "mgh"}
        for method, length in (("bfgs", 2), (merging.PREFIX + "today", 3))
    ]
    evaluations = {row.method: row.costs[1][0] for row in page.rows_of(new, published)}
    assert evaluations == {"bfgs": 5, merging.PREFIX + "today": 9}
    assert {row.costs[1][0] for row in page.rows_of(new[1:], [published[1]])} == {9}


def test_profiles_of_made_up_runs():
    rows = made_rows()
    groups = {name: [row for row in rows if row.method == name] for name in "AB"}
    assert [profiles.solved(groups[name], 0) for name in "AB"] == [1, 2]
    x, y = profiles.data_profile(groups["A"], 0)
    assert (x.tolist(), y.tolist()) == ([5.0], [0.5])
    performance = profiles.performance_profiles(groups, 0)
    assert [v.tolist() for v in performance["A"]] == [[1.0], [0.5]]
    assert [v.tolist() for v in performance["B"]] == [[1.0, 2.0], [0.5, 1.0]]
    assert profiles.median_cost(groups["A"], 0, 0) == 10
    assert profiles.median_cost(groups["B"], 0, 0) == 20


def test_under_noise_what_others_found_under_it_counts():
    row = dataclasses.replace(made_rows()[0], f0=1.0)
    mine = [dataclasses.replace(row, seed=seed, best=best) for seed, best in ((0, 1e-4), (1, 1e-2), (2, np.nan))]

    def count(others, tolerance):
        lowest = profiles.lowest_values((), {row.mode: row.mode}, [*mine, *others])
        return profiles.solved_beside(mine, lowest, tolerance)

    assert count([], 0) == 1 / 3
    assert count([dataclasses.replace(row, best=9.9e-5)], 1) == 0
    assert count([dataclasses.replace(row, best=-1.0)], 0) == 0
    assert count([dataclasses.replace(row, problem="other", best=-1.0)], 0) == 1 / 3


def test_the_best_rate_counts():
    rows = profiles.merged(made_rows(), {"A": "both", "B": "both"})
    assert {row.problem: row.costs[0][0] for row in rows} == {"p": 10, "q": 30}


def test_what_is_returned_counts_where_it_is_known(tmp_path):
    """Not where the end of the budget ends a run, nor for older runs; a point without a value solves nothing."""
    curve = [[1, 0.1, 1.0], [10, 0.2, 0.0]]
    returned = {
        "rprop": [1e-4, 0.5, np.nan],
        "bfgs": [0.0, 0.0, 1e-9],
        "lbfgsb": [0.0, None, 0.0],  # the second from before such values were kept
        "adam-1": [0.5, 0.5, np.nan],
        "adam-0.1": [0.5, 1e-7, 0.5],
    }
    records = [
        {**record(problem, method, curve, mode="noise-1e-3"), "suite": "mgh", "end": "returned", "returned": f}
        for method, values in returned.items()
        for problem, f in zip(("wood", "helix", "box"), values, strict=True)
    ]
    records += [
        {**record(problem, "cg", curve, mode="noise-1e-3"), "suite": "mgh"} for problem in ("wood", "helix", "box")
    ]
    page.write_json(page.rows_of(json.loads(json.dumps(records))), 100, tmp_path / "runs.json")
    _, rows = page.read_json(tmp_path / "runs.json")
    groups = page.groups_of(rows, "mgh", "noise-1e-3")
    lowest = {("mgh", problem, "noise-1e-3"): 0.0 for problem in ("wood", "helix", "box")}
    assert " ".join(page.of_returned_points(groups, lowest).split()) == (
        "Of the points that are returned at the end, these solve their problem: BFGS, gtol=1e-10: 3 and 3; "
        "Adam, best of 4 rates: 1 and 1; Rprop (minimize): 1 and 0."
    )
    assert page.of_returned_points({"cg": groups["cg"]}, lowest) == ""


def test_the_page_is_made_of_the_json(tmp_path):
    records = [
        {**r, "suite": "mgh", "method": method, "mode": mode, "seed": seed}
        for r in (record("rosenbrock", "", [[1, 0.1, 1.0], [10, 0.2, 0.0]]), record("wood", "", [[1, 0.1, 1.0]]))
        for method in ("rprop", "adam-1", "adam-0.1")
        for mode, seed in (("noise-1e-3", 0), ("noise-1e-3", 1))
    ]
    rows = profiles.rows(records, {name: UNDISTURBED[mode.objective] for name, mode in MODES.items()})
    page.write_json(rows, 100, tmp_path / "runs.json")
    head, again = page.read_json(tmp_path / "runs.json")
    assert page.sorted_rows(again) == page.sorted_rows(rows)
    page.write_page(head, again, tmp_path / "page.md", tmp_path)
    text = (tmp_path / "page.md").read_text()
    assert "| Rprop (minimize) | 1 | 1 |" in text
    assert "This page has runs of `mgh` in noise-1e-3; none of `cutest-unconstrained`," in text
    assert "| Adam, best of 4 rates | 1 | 1 |" in text
    counts = "under this noise, to 1e-3 and 1e-6, Adam, best of 4 rates: 1 and 1; Rprop (minimize): 1 and 1."
    assert counts in " ".join(text.split())
    assert (tmp_path / "mgh-noise-1e-3.svg").exists()


def published_and_new():
    """Published runs of two methods and an idea in two modes, and a new run of one of the methods in one mode."""
    row = dataclasses.replace(made_rows()[0], suite="mgh", f0=1.0, best=0.0)
    published = [
        dataclasses.replace(row, mode=mode, method=method)
        for mode in ("exact", "noise-1e-3")
        for method in ("rprop", "bfgs", merging.PREFIX + "today")
    ]
    return published, {**record("p", "rprop", [[1, 0, 1.0], [5, 0, 0.0]]), "suite": "mgh"}


def test_published_runs_stay_until_they_are_replaced():
    published, new = published_and_new()
    assert merging.not_replaced(published, [new]) == published[1:]
    assert merging.not_replaced(published, [new | {"seed": 1}]) == published
    assert merging.outdated(published, [new]) == []


def test_published_runs_are_outdated_where_a_new_one_changes_the_lowest_value():
    published, new = published_and_new()
    exact, noisy = [("exact", "bfgs")], [("noise-1e-3", "rprop"), ("noise-1e-3", "bfgs")]

    def outdated(best, rows=published, **changes):
        return [
            (pair.mode, pair.method)
            for pair in merging.outdated(rows, [new | {"curve": [[5, 0, best]]} | changes])
        ]

    assert outdated(-0.5) == exact + noisy
    # What is found under noise counts there alone.
    assert outdated(-0.5, mode="noise-1e-3") == [("noise-1e-3", "bfgs")]
    assert outdated(-0.5, problem="q") == outdated(-0.5, suite="nist") == outdated(-1e-10) == []
    assert outdated(-0.5, method=merging.PREFIX + "today") == []
    # The published run that had found the lowest value is replaced by one that has not found it.
    rows = [
        dataclasses.replace(row, best=0.0 if row.method == "rprop" and row.mode == "exact" else 0.5)
        for row in published
    ]
    assert outdated(0.5, rows) == exact + noisy


def test_one_method_is_renewed_and_the_others_follow_where_they_must(tmp_path, monkeypatch, capsys):
    """On "p" the new run is lower than all published ones, on "q" it is not."""
    published, new = published_and_new()
    lost = dataclasses.replace(published[1], method="a method that is no more")
    elsewhere = [dataclasses.replace(row, problem="q") for row in published if row.mode == "exact"]
    file, runs, made = tmp_path / "runs.json", tmp_path / "runs.jsonl", []
    page.write_json([*published, *elsewhere, lost], 100, file)

    def make(pairs, file, *_, **__):
        with file.open("a") as lines:
            for pair in pairs:
                made.append(pair)
                lines.write(json.dumps({**new, **pair._asdict(), "curve": [[7, 0, -0.5]]}) + "\n")

    monkeypatch.setattr(command, "JSON", file)
    monkeypatch.setattr(command, "read_json", lambda: page.read_json(file))
    monkeypatch.setattr(command, "write_json", lambda rows, budget: page.write_json(rows, budget, file))
    monkeypatch.setattr(command, "write_page", lambda *_: None)
    monkeypatch.setattr(command, "run", make)
    make([Pair("mgh", "p", "exact", 0, "rprop")], runs)
    command.publish(runs, Limits(budget=100), 1)
    assert {(pair.problem, pair.mode, pair.method) for pair in made[1:]} == {
        ("p", "exact", "bfgs"),
        ("p", "noise-1e-3", "rprop"),
        ("p", "noise-1e-3", "bfgs"),
    }
    assert len(made) == 4
    rows = {(row.problem, row.mode, row.method): row.costs[0][0] for row in page.read_json(file)[1]}
    ideas = [row for row in [*published, *elsewhere] if merging.is_idea(row)]
    assert rows == {
        **{("p", mode, method): 7 for mode in ("exact", "noise-1e-3") for method in ("rprop", "bfgs")},
        **{(row.problem, row.mode, row.method): 10 for row in [*elsewhere, *ideas]},
    }
    assert "without some published runs of a method that is no more" in capsys.readouterr().out


def test_the_published_runs_can_be_read():
    if not page.JSON.exists():
        pytest.skip("nothing published yet")
    head, rows = page.read_json()
    assert json.dumps(head["budget"]) == "10000"
    assert {row.method for row in rows} >= {"rprop", "lbfgsb"}
    assert rprop_ref.__version__
