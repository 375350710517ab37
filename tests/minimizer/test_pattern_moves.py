"""The option `pattern_every` of `minimize`: every step and pattern move equals an independent loop's."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from curved_valley import in_python, rosenbrock
from scipy.optimize._numdiff import approx_derivative

from rprop_ref import minimize
from rprop_ref._minimizer import options
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES

X0 = np.array([-1.2, 1.0, 0.3])
BOUNDS = [(-1.3, 0.2), (-np.inf, np.inf), (0.1, 3.0)]
OPTIONS = {"lr": 0.02, "etas": (0.6, 1.3), "step_sizes": (1e-9, 0.5)}


def barred(x):
    """Not finite beyond a point on the way to the minimum."""
    f, g = in_python(x)
    return (f if x[0] < 0.4 else np.inf), g


def rough(x):
    """Values that go up and down by a tenth."""
    f, g = in_python(x)
    return f * (1 + 0.1 * np.sin(1e4 * x[0])), g


def share_to_the_parabolas_minimum(way, f, g, f_there):
    """How much of a way to go, from a value, its gradient, and the value at the end; 0 if there is no telling."""
    slope = 0.0
    for d, component in zip(way, g, strict=True):
        slope += d * component
    # On f + slope t + c t^2, where t is 1 at the end.
    c = f_there - f - slope
    return -slope / (2 * c) if slope < 0 and f <= f_there < np.inf else 0.0


def oracle(fun, x0, variant, every, evaluations, bounds):
    """The points that are evaluated: those of `naive`'s steps, and of pattern moves.

    Where the objective is not finite, the run has gone on half of the way, with half of the step sizes.

    Returns the points, and how often the point between was lower, and was not.
    """
    lower, upper = np.array(list(bounds or [(-np.inf, np.inf)] * x0.size), float).T
    x, before = x0.copy(), x0.copy()
    prev, size = naive.start(x, OPTIONS["lr"])
    base, stretch, last_f, last_g, last_x, rest = x0.copy(), 1.0, np.inf, None, x0.copy(), every
    points, ahead, between, outcomes = [], False, False, {True: 0, False: 0}
    while len(points) < evaluations:
        f, g = fun(x)
        if not (points and (x == last_x).all()):
            points.append(x.copy())
        lower_value = np.isfinite(f) and f < last_f
        if ahead and not lower_value:
            ahead, way = False, x - last_x
            share = share_to_the_parabolas_minimum(way, last_f, last_g, f)
            x = np.clip(last_x + share * way, lower, upper)
            between = bool((x != last_x).any() and (x != base).any())
            if not between:
                stretch, x = max(stretch / 2, 0.25), base.copy()
            continue
        if between:
            outcomes[bool(lower_value)] += 1
        if between and not lower_value:
            between, stretch, x = False, max(stretch / 2, 0.25), base.copy()
            continue
        if ahead:
            stretch = min(2 * stretch, 1024)
        if ahead or between:
            ahead, between, prev = False, False, np.zeros_like(prev)
        if not np.isfinite(f):
            size, x = np.maximum(size / 2, OPTIONS["step_sizes"][0]), last_x + (x - last_x) / 2
            continue
        inward = np.where(((x <= lower) & (g > 0)) | ((x >= upper) & (g < 0)), 0, g)
        worse, flips = f > last_f, inward * prev < 0
        steps = {name: OPTIONS[name] for name in ("etas", "step_sizes")}
        new, prev, size = naive.step(variant, x, inward, prev, size, worse=worse, **steps)
        if bounds is not None and (variant == "rprop+" or (variant == "irprop+" and worse)):
            new[flips] = before[flips]
        last_f, last_g, last_x, before, x = f, g, x, x, np.clip(new, lower, upper)
        rest -= 1
        if rest < 0 and (x != last_x).any():
            start, x = x, np.clip(x + stretch * (x - base), lower, upper)
            base, rest = start, every - 1
            ahead = bool((x != base).any() and (x != last_x).any())
            if not ahead:
                stretch, x = max(stretch / 2, 0.25), base.copy()
    return np.array(points), outcomes


@pytest.mark.parametrize("bounds", [None, BOUNDS], ids=["free", "bounded"])
@pytest.mark.parametrize("variant", naive.VARIANTS)
@pytest.mark.parametrize("fun", [in_python, barred, rough])
def test_every_evaluation_is_the_oracles(fun, variant, bounds):
    between = {True: 0, False: 0}
    for every, backend in ((2, "numpy"), (4, "numba"), (10, "numpy")):
        points = []

        def recorded(x):
            points.append(x.copy())  # noqa: B023
            return fun(x)

        options = {**OPTIONS, "variant": variant, "bounds": bounds, "backend": backend}
        minimize(recorded, X0, jac=True, maxfev=150, gtol=0, xtol=0, pattern_every=every, **options)
        expected, outcomes = oracle(fun, X0, variant, every, 150, bounds)
        assert same_bits(np.array(points), expected)
        for lower in between:
            between[lower] += outcomes[lower]
    assert between[True] > 0
    assert between[False] > 0 or fun is not rough


def test_a_curved_valley_takes_fewer_evaluations():
    plain, moved = (minimize(in_python, X0, jac=True, pattern_every=every) for every in (None, 10))
    assert moved.success
    assert moved.nfev < plain.nfev / 2


def test_long_moves_do_not_end_a_run_without_a_minimum():
    """They would take x to where step sizes are nothing beside it."""
    r = minimize(lambda x: (-x[0], -np.ones(1)), [1.0], jac=True, maxiter=500, pattern_every=5)
    assert (r.status, r.nit) == (1, 500)


@pytest.mark.parametrize("fun", [rosenbrock, in_python, barred])
def test_a_run_in_pieces_is_one_run(fun, tmp_path):
    options = {"jac": None if fun is rosenbrock else True, "pattern_every": 3, "gtol": 0, "xtol": 0}
    whole = minimize(fun, X0, maxiter=120, **options)
    for pieces in ([{"maxiter": 1}] * 120, [{"maxfev": k} for k in (1, 2, 3, 5, 8, 13, 21, 34)]):
        r = minimize(fun, X0, **pieces[0], **options)
        nit, nfev = r.nit, r.nfev
        for piece in pieces[1:]:
            r = minimize(fun, X0, warm_start=r, **piece, **options)
            nit, nfev = nit + r.nit, nfev + r.nfev
        if nit < 120:
            r = minimize(fun, X0, warm_start=r, maxiter=120 - nit, **options)
            nfev += r.nfev
        assert same_bits(r.x, whole.x)
        assert nfev == whole.nfev
        assert same_bits(r.state.vectors, whole.state.vectors)
    file = tmp_path / "run.npz"
    minimize(fun, X0, maxiter=17, checkpoint=file, **options)
    resumed = minimize(fun, X0, maxiter=120, resume=file, **options)
    assert same_bits(resumed.state.vectors, whole.state.vectors)
    assert (resumed.nit, resumed.nfev) == (whole.nit, whole.nfev)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bounds", [None, BOUNDS], ids=["free", "bounded"])
def test_machine_code_makes_the_same_moves(bounds, dtype, rng):
    for x0 in rng.uniform([-1.3, -2, 0.1], [0.2, 2, 3], (6, 3)).astype(dtype):
        compiled = minimize(rosenbrock, x0, bounds=bounds, pattern_every=5, maxiter=400)
        for backend in ("numpy", "numba"):
            r = minimize(in_python, x0, jac=True, bounds=bounds, pattern_every=5, maxiter=400, backend=backend)
            assert same_bits(r.state.vectors, compiled.state.vectors)
            assert (r.nit, r.nfev, r.message) == (compiled.nit, compiled.nfev, compiled.message)


def test_only_moves_to_lower_values_are_iterations():
    points, values = [], []

    def recorded(x):
        f, g = in_python(x)
        points.append(x.copy())
        values.append(f)
        return f, g

    seen = []
    r = minimize(
        recorded,
        X0,
        jac=True,
        pattern_every=5,
        maxiter=200,
        callback=lambda x: seen.append(x.copy()),
        return_all=True,
        trace=True,
    )
    assert r.nit == 200
    assert len(r.allvecs) == r.nit + 1
    assert same_bits(np.array(seen[-200:]), np.array(r.allvecs[-200:]))
    trace = r.trace
    assert trace.steps == r.nit + 1
    assert 0 < trace.pattern_moves_kept < trace.pattern_moves
    left = len(points) - len({x.tobytes() for x in r.allvecs})
    assert left == trace.pattern_moves - trace.pattern_moves_kept
    assert f"Of {trace.pattern_moves} points that pattern moves tried, {trace.pattern_moves_kept} were" in str(
        trace.explain()
    )
    # All other rows are reached by steps no longer than the step sizes.
    longer = (np.abs(np.diff(trace.x, axis=0)) > trace.size[:-1] * (1 + 1e-9)).any(axis=1)
    assert trace.pattern_move.sum() == trace.pattern_moves_kept
    assert longer.any()
    assert trace.pattern_move[1:][longer].all()


@pytest.mark.parametrize("maximize", [False, True])
def test_finite_differences_are_not_made_where_a_move_fails(maximize):
    points = []

    def value(x):
        points.append(x.copy())
        return (-1 if maximize else 1) * in_python(x)[0]

    options = {"pattern_every": 3, "maxiter": 100, "gtol": 0, "xtol": 0, "maximize": maximize, "jac": "2-point"}
    r = minimize(value, X0, trace=True, **options)
    failed = r.trace.pattern_moves - r.trace.pattern_moves_kept
    assert failed > 0
    assert r.nfev == len(points) == r.njev * (1 + X0.size) + failed

    def with_every_gradient(x):
        return value(x), approx_derivative(value, x, method="2-point")

    whole = minimize(with_every_gradient, X0, **{**options, "jac": True})
    assert same_bits(r.state.vectors, whole.state.vectors)


def test_a_trace_holds_the_neutral_step_after_a_pattern_move():
    """No step size changes there, since the rule has forgotten the gradient before."""
    trace = minimize(in_python, X0, jac=True, pattern_every=5, maxiter=200, trace=True).trace
    changed = trace.size[1:] != trace.size[:-1]
    told = trace.where("grew") | trace.where("shrank")
    stepped = ~trace.where("no step")[1:]
    assert (changed[stepped] == told[1:][stepped]).all()


def test_a_saved_trace_keeps_the_counts(tmp_path):
    trace = minimize(in_python, X0, jac=True, pattern_every=5, maxiter=60, trace=True).trace
    trace.save(tmp_path / "trace.npz")
    loaded = type(trace).load(tmp_path / "trace.npz")
    assert loaded.pattern_move.tolist() == trace.pattern_move.tolist()
    assert type(trace.pattern_moves_kept) is type(loaded.pattern_moves_kept) is int
    assert (loaded.pattern_moves, loaded.pattern_moves_kept) == (trace.pattern_moves, trace.pattern_moves_kept)


@pytest.mark.parametrize("value", [0, 1, 1.5, -3, "10", np.nan, True, False])
def test_the_interval_is_a_whole_number(value):
    with pytest.raises(ValueError, match="pattern_every must be a whole number, at least 2, or None"):
        minimize(in_python, X0, jac=True, pattern_every=value)


def bowl(x):
    return float(np.sum((x - 1) ** 2)), 2 * (x - 1)


@pytest.mark.parametrize("variant", RULES)
def test_with_every_interval_that_is_allowed_a_bowl_is_minimized(variant):
    for every in (2, 3, 4, 5):
        for seed in range(5):
            x0 = 3 * np.random.default_rng(seed).normal(size=3)
            r = minimize(bowl, x0, jac=True, variant=variant, pattern_every=every)
            assert r.success and r.nit < 1000


def test_after_every_step_a_pattern_move_would_hide_all_sign_changes(monkeypatch):
    # Why 1 is refused.
    monkeypatch.setattr(options, "pattern_interval", lambda every: every)
    r = minimize(bowl, [3.0, -2.0, 0.3], jac=True, pattern_every=1, maxiter=2000, trace=True)
    assert r.status == 1 and r.fun > 1e-3
    assert not r.trace.counts["shrank"].any() and r.trace.pattern_moves_kept > 1900


@pytest.mark.parametrize("value", [4.0, np.int8(4), np.array([4])])
def test_the_interval_may_be_any_number_or_an_array_of_one(value):
    numbers = [minimize(in_python, X0, jac=True, pattern_every=every, maxiter=50).fun for every in (4, value)]
    assert numbers[0] == numbers[1]


def test_a_run_is_continued_with_the_same_interval():
    r = minimize(in_python, X0, jac=True, maxiter=5, pattern_every=4)
    for other in (None, 5):
        with pytest.raises(ValueError, match="pattern_every must be the same"):
            minimize(in_python, X0, jac=True, warm_start=r, pattern_every=other)
