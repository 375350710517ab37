"""`Trace`: it changes no run, knows every event, stays within its memory, and is saved, loaded and tabulated."""

from __future__ import annotations

import csv
import tracemalloc

import naive
import numpy as np
import problems
import pytest
from cases import sampled
from scipy.optimize import minimize as scipy_minimize

from rprop_ref import Parameter, Rprop, Trace, crosscheck, lr_scheduler, minimize, rules
from rprop_ref._common import npz
from rprop_ref._core import events as _events
from rprop_ref._core.constants import rule_constants
from rprop_ref._tracing.history import OVERHEAD
from rprop_ref.bits import same_bits

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 1e-200, -1e-200, 5e-324, np.inf, -np.inf, np.nan]


def branch(variant, g, prev, size, eta_minus, low, high, worse):
    """The events of one coordinate, from the papers' text and from what the oracle returns."""
    zero = np.float64(0)
    with np.errstate(all="ignore"):
        q = g * prev
        x, _, new_size = naive._coordinate(
            variant, zero, g, prev, size, eta_minus, np.float64(1.2), low, high, worse
        )
    events = set()
    if q > 0:
        events.add("grew")
    elif q < 0:
        events.add("shrank")
    elif q == 0 and g != 0 and prev != 0:
        events.add("underflow")
    # The start is 0, so the oracle's x is the move. An undone move may be as long as the move it replaces.
    if q < 0 and (variant == "rprop+" or (variant == "irprop+" and worse)):
        assert x == naive._sign(prev) * size
        events.add("undone")
    elif x == 0 and np.isfinite(g) and g != 0 and new_size != 0:
        events.add("held")
    events |= {"at lower clamp"} if new_size == low else set()
    events |= {"at upper clamp"} if new_size == high else set()
    events |= {"zero gradient"} if g == 0 else set()
    events |= set() if np.isfinite(g) else {"gradient not finite"}
    return events, new_size


class TestEvents:
    @pytest.mark.parametrize("worse", [False, True])
    @pytest.mark.parametrize("variant", rules.RULES)
    @pytest.mark.parametrize("eta_minus", [0.5, 1.0, 0.0])
    def test_every_pair_of_gradients_takes_the_branch_of_the_oracle(self, variant, worse, eta_minus):
        """An eta- of 1 or 0 stands for one that rounds to it."""
        low, high = np.float64(0.05), np.float64(0.2)
        grid = [np.float64(v) for v in SPECIAL]
        for size in map(np.float64, (0.05, 0.1, 0.2)):
            for g in grid:
                for prev in grid:
                    expected, new_size = branch(variant, g, prev, size, np.float64(eta_minus), low, high, worse)
                    constants = np.array([eta_minus, 1.2, low, high, 0, 1, 1])
                    arrays = [np.array([v]) for v in (g, prev, size, new_size)]
                    event = int(_events.events(variant, *arrays, constants, worse)[0])
                    events = {name for name, (bits, value) in _events.NAMES.items() if event & bits == value}
                    if not np.isfinite(g) or g == 0:
                        # Nothing would move anyway, so the oracle's result does not show what became of the move.
                        expected -= {"held", "undone"}
                        events -= {"held", "undone"}
                    assert events == expected, (variant, g, prev, size)

    def test_each_rule_has_its_move_at_a_change_of_sign(self):
        one = np.array([1.0])
        constants = rule_constants(np.dtype(float), (0.5, 1.2), (1e-6, 50), False)

        def words(variant, worse):
            return str(_events.WORDS[_events.events(variant, -one, one, one, one / 2, constants, worse)][0])

        assert {v: words(v, True) for v in rules.RULES} == {
            "rprop+": "shrank, undone",
            "rprop-": "shrank",
            "irprop+": "shrank, undone",
            "irprop-": "shrank, held",
            "irprop-go": "shrank",
        }
        assert words("irprop+", False) == "shrank, held"

    def test_every_byte_has_its_words(self):
        assert _events.describe(0) == "kept"
        assert _events.describe(_events.SHRANK | _events.HELD | _events.LOWER) == "shrank, held, at lower clamp"
        assert len(_events.WORDS) == 256


class TestMinimize:
    @pytest.mark.parametrize("backend", ["numpy", "numba"])
    @pytest.mark.parametrize("variant", rules.RULES)
    @pytest.mark.parametrize("name", problems.PROBLEMS)
    def test_iterates_are_the_same_with_a_trace(self, name, variant, backend):
        fun, jac, x0, _ = problems.PROBLEMS[name]
        options = {"variant": variant, "backend": backend, "maxiter": 100, "return_all": True}
        with_trace = minimize(fun, x0, jac=jac, trace=True, **options)
        without = minimize(fun, x0, jac=jac, **options)
        assert same_bits(np.array(with_trace.allvecs), np.array(without.allvecs))
        assert same_bits(with_trace.x, without.x)
        trace = with_trace.trace
        assert same_bits(trace.x, np.array(without.allvecs))
        assert trace.steps == without.nit + 1
        assert [fun(x) for x in trace.x] == trace.f.tolist()
        assert (np.sign([jac(x) for x in trace.x]) == trace.sign).all()

    def test_sizes_and_events_are_those_of_the_oracle(self):
        fun, jac, x0, _ = problems.PROBLEMS["himmelblau"]
        trace = minimize(fun, x0, jac=jac, maxiter=60, trace=True, lr=0.1, pattern_every=None).trace
        states = naive.run(
            "irprop-", x0, [jac(x) for x in trace.x], lr=0.1, etas=(0.8, 1.1), step_sizes=(0, np.inf)
        )
        assert same_bits(trace.size[:-1], np.array([size for _, _, size in states])[:-1])
        grew = trace.size[1:-1] > trace.size[:-2]
        assert (trace.where("grew")[1:-1] == grew).all()
        shrank = trace.size[1:-1] < trace.size[:-2]
        assert shrank.any()
        assert (trace.where("shrank")[1:-1] == shrank).all()
        assert (trace.where("held")[:-1] == (trace.x[1:] == trace.x[:-1])).all()
        assert trace.where("no step")[-1].all()
        assert not trace.where("no step")[:-1].any()

    def test_undone_moves_lead_back(self):
        fun, jac, x0, _ = problems.PROBLEMS["himmelblau"]
        trace = minimize(fun, x0, jac=jac, maxiter=60, trace=True, variant="irprop+").trace
        undone = trace.where("undone")
        rows, columns = np.nonzero(undone)
        assert rows.size
        np.testing.assert_allclose(trace.x[rows + 1, columns], trace.x[rows - 1, columns], rtol=1e-12)

    def test_retreats_are_counted(self):
        fun, jac, _, _ = problems.PROBLEMS["barrier"]
        trace = minimize(fun, [0.5, 0.5], jac=jac, trace=True, lr=3.0, variant="rprop-").trace
        assert trace.retreats[-1] > 0
        assert (np.diff(trace.retreats) >= 0).all()
        assert np.isfinite(trace.f).all()

    def test_runs_with_bounds_maximize_and_shapes(self):
        fun, jac, x0, _ = problems.PROBLEMS["himmelblau"]
        options = {"bounds": [(-1, 2), (None, 1)], "maxiter": 80, "return_all": True, "variant": "rprop+"}
        with_trace = minimize(fun, x0, jac=jac, trace=True, **options)
        without = minimize(fun, x0, jac=jac, **options)
        assert same_bits(np.array(with_trace.allvecs), np.array(without.allvecs))
        trace = with_trace.trace
        assert same_bits(trace.x, np.array(without.allvecs))
        at_the_wall = (trace.x[:, 0] == 2) & (np.array([jac(x)[0] for x in trace.x]) < 0)
        assert at_the_wall.any()
        assert (trace.where("zero gradient")[:, 0] == at_the_wall).all()

        up = minimize(lambda x: -fun(x), x0, jac=lambda x: -jac(x), maximize=True, maxiter=80, trace=True).trace
        down = minimize(fun, x0, jac=jac, maxiter=80, trace=True).trace
        assert (up.f == -down.f).all()
        assert (up.sign == -down.sign).all()
        assert (up.event == down.event).all()
        assert (up.size == down.size).all()

        flat = minimize(lambda x: (np.sum((x - 1) ** 2), 2 * (x - 1)), np.zeros((2, 3)), jac=True, trace=True)
        assert flat.trace.n == 6

    def test_compiled_objectives_have_the_same_trace(self):
        import numba

        @numba.njit
        def fun(x):
            return ((x - 1) ** 2).sum(), 2 * (x - 1)

        one = minimize(fun, np.array([3.0, -2.0]), jac=True, trace=True, maxiter=60)
        two = minimize(fun.py_func, np.array([3.0, -2.0]), jac=True, trace=True, maxiter=60)
        assert same_bits(one.trace.x, two.trace.x)
        assert (one.trace.event == two.trace.event).all()

    def test_a_continued_run_is_traced_from_where_it_continues(self):
        fun, jac, x0, _ = problems.PROBLEMS["rosenbrock"]
        whole = minimize(fun, x0, jac=jac, trace=True, maxiter=100).trace
        first = minimize(fun, x0, jac=jac, maxiter=40)
        rest = minimize(fun, x0, jac=jac, warm_start=first, trace=True, maxiter=60).trace
        # The second call begins with the step from the first call's last point, before its first evaluation.
        assert same_bits(rest.x, whole.x[41:])
        assert (rest.event == whole.event[41:]).all()

    def test_your_own_trace_can_be_an_option_through_scipy(self):
        fun, jac, x0, _ = problems.PROBLEMS["sphere"]
        trace = Trace(stride=5)
        result = scipy_minimize(fun, x0, jac=jac, method=minimize, options={"trace": trace, "maxiter": 200})
        assert result.trace is trace
        assert trace.steps == result.nit + 1
        with pytest.raises(ValueError, match="the trace must be new, but it has"):
            minimize(fun, x0, jac=jac, trace=trace)
        with pytest.raises(TypeError, match="trace must be True, False or a Trace, but is 'yes'"):
            minimize(fun, x0, jac=jac, trace="yes")


def steps(optimizer, params, count, rng):
    for _ in range(count):
        for p in params:
            p.grad = (
                rng.normal(size=p.shape) + (1j * rng.normal(size=p.shape) if p.dtype.kind == "c" else 0)
            ).astype(p.dtype)
        optimizer.step(loss=float(rng.normal()))


class TestAttach:
    def test_groups_layouts_dtypes_rules_and_missing_gradients(self, rng):
        def params():
            make = np.random.default_rng(1)
            return [
                Parameter(np.asfortranarray(make.normal(size=(3, 2)))),
                Parameter(make.normal(size=4).astype(np.float32)),
                Parameter(make.normal(size=2) + 1j * make.normal(size=2)),
            ]

        def optimizer(p):
            groups = [
                {"params": p[:2]},
                {"params": p[2:], "variant": "irprop+", "etas": (0.7, 1.3), "maximize": True},
            ]
            return Rprop(groups, lr=0.1, step_sizes=(0.01, 0.2))

        traced, plain = params(), params()
        a, b = optimizer(traced), optimizer(plain)
        with Trace.attach(a) as trace:
            steps(a, traced, 30, np.random.default_rng(2))
            traced[0].grad = None
            a.step(loss=0.0)
        steps(b, plain, 30, np.random.default_rng(2))
        plain[0].grad = None
        b.step(loss=0.0)
        for p, q in zip(traced, plain):
            assert same_bits(p.data, q.data)
        assert trace.n == 6 + 4 + 4
        assert trace.steps == 31
        last = np.concatenate([np.ravel(traced[0].data), traced[1].data, traced[2].data.view(float)])
        # The last row is the point before the last step, which the first parameter did not make.
        assert same_bits(trace.x[-1, :6], last[:6])
        assert trace.where("no step")[-1].tolist() == [True] * 6 + [False] * 8
        assert trace.size[-1, 6:10].tolist() == a.state[traced[1]]["step_size"].tolist()
        assert trace.where("at upper clamp")[:, 6:].any()
        assert trace.where("undone")[:, 10:].any()
        assert not trace.where("undone")[:, :10].any()
        assert [g["variant"] for g in trace.groups] == ["irprop-", "irprop-", "irprop+"]
        # Recording has ended with the block.
        steps(a, traced, 1, rng)
        assert trace.steps == 31

    @pytest.mark.parametrize("variant", rules.RULES)
    def test_it_equals_the_trace_of_minimize(self, variant):
        """The same run, recorded in both ways."""
        fun, jac, x0, _ = problems.PROBLEMS["rosenbrock"]
        one = minimize(
            fun,
            x0,
            jac=jac,
            maxiter=50,
            lr=0.01,
            etas=(0.5, 1.2),
            step_sizes=(1e-6, 50),
            pattern_every=None,
            trace=True,
            variant=variant,
        ).trace
        p = Parameter(x0.copy())
        optimizer = Rprop([p], variant=variant)

        def closure():
            p.grad = jac(p.data)
            return fun(p.data)

        with Trace.attach(optimizer) as two:
            for _ in range(50):
                optimizer.step(closure)
        for name in ("f", "x", "sign", "size", "event", "g_max", "g_change", "x_change"):
            assert same_bits(getattr(one, name)[:50], getattr(two, name)) or name in ("sign", "event")
            np.testing.assert_array_equal(getattr(one, name)[:50], getattr(two, name))

    def test_closures_by_name_and_schedules(self):
        p = Parameter(np.ones(2))
        optimizer = Rprop([p], lr=0.1)
        lr_scheduler.StepLR(optimizer, 1)

        def closure():
            p.grad = 2 * p.data
            return float(p.data @ p.data)

        trace = Trace.attach(optimizer)
        for _ in range(3):
            optimizer.step(closure=closure)
        trace.detach()
        trace.detach()
        assert trace.f[0] == 2.0
        assert trace.steps == 3

    def test_an_added_parameter_is_refused(self):
        p = Parameter(np.ones(2), requires_grad=False)
        optimizer = Rprop([p])
        p.grad = np.ones(2)
        Trace.attach(optimizer)
        optimizer.step()
        optimizer.add_param_group({"params": [Parameter(np.ones(3))]})
        with pytest.raises(
            ValueError, match="the trace has 2 coordinates, but the optimizer has 5 now; detach it"
        ):
            optimizer.step()
        assert optimizer.state[p]["step"] == 1

    def test_float16_and_recorded_steps(self):
        p = Parameter(np.ones(3, np.float16))
        optimizer = Rprop([p])
        with Trace.attach(optimizer) as trace:
            steps(optimizer, [p], 5, np.random.default_rng(0))
        assert trace.x.dtype == np.float16
        w = Parameter(np.ones(3))
        q = w.clone()
        optimizer = Rprop([q], differentiable=True)
        with Trace.attach(optimizer) as trace:
            for _ in range(3):
                q.grad = np.ones(3)
                optimizer.step(loss=1.0)
        assert trace.counts["grew"].tolist() == [2, 2, 2]

    @pytest.mark.peers
    def test_bfloat16(self):
        ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 is a dtype of ml_dtypes (extra 'peers')")
        p = Parameter(np.ones(3, ml_dtypes.bfloat16))
        optimizer = Rprop([p], etas=(0.999, 1.2))
        with Trace.attach(optimizer) as trace:
            steps(optimizer, [p], 30, np.random.default_rng(0))
        assert trace.x.dtype == np.float32
        assert [f.name for f in trace.explain().findings] == ["eta- rounds to 1", "noise"]


class TestByHand:
    def test_steps_can_be_recorded_by_hand(self):
        trace = Trace("rprop+", etas=(0.5, 1.5))
        x, zero, size = np.zeros((2, 2)), np.zeros((2, 2)), np.full((2, 2), 0.1)
        trace.record(x, 1.0, np.ones((2, 2)), zero, size, size)
        trace.record(x - 0.1, 0.5, -np.ones((2, 2)), np.ones((2, 2)), size, size / 2)
        assert trace.words().tolist() == [["kept"] * 4, ["shrank, undone"] * 4]
        with pytest.raises(ValueError, match="the trace has 4 coordinates, but the arrays have"):
            trace.record(x[0], 1.0, x[0], x[0], x[0], x[0])
        assert trace.steps == 2

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"stride": 0}, "stride must be a whole number, at least 1, but is 0"),
            ({"stride": True}, "stride must be a whole number, at least 1, but is True"),
            ({"limit": 0}, "limit must be a positive number of bytes, but is 0"),
            ({"variant": "x"}, "Invalid variant: 'x'"),
        ],
    )
    def test_wrong_options_are_refused(self, options, text):
        with pytest.raises(ValueError, match=text):
            Trace(**options)

    def test_a_trace_without_rows_can_be_read_and_saved(self, tmp_path):
        trace = Trace()
        assert (len(trace), trace.n, trace.x.shape, trace.f.shape) == (0, 0, (0, 0), (0,))
        assert str(trace.explain()).startswith("Nothing was recorded.")
        trace.save(tmp_path / "t.npz")
        assert len(Trace.load(tmp_path / "t.npz")) == 0
        with pytest.raises(AttributeError, match="'Trace' object has no attribute 'nonsense'"):
            trace.nonsense  # noqa: B018
        with pytest.raises(ValueError, match="there is no event 'fell'; the events are 'grew'"):
            trace.where("fell")


def fill(trace, count, n=50):
    """Record a run that does not depend on the trace."""
    rng = np.random.default_rng(3)
    x, prev, size = rng.normal(size=n), np.zeros(n), np.full(n, 0.1)
    constants = rule_constants(np.dtype(float), (0.5, 1.2), (1e-6, 50), False)
    from rprop_ref._core import numpy_step

    for _ in range(count):
        g = x + 0.1 * rng.normal(size=n)
        before = x.copy(), prev.copy(), size.copy()
        numpy_step.run("irprop-", x, g, prev, size, constants)
        trace.record(before[0], float(x @ x), g, before[1], before[2], size)
    return trace


class TestMemory:
    def test_rows_are_thinned_when_the_limit_is_reached(self):
        whole, thin = fill(Trace(), 1000), fill(Trace(limit=200_000), 1000)
        assert len(whole) == 1000
        row = 50 * 18 + OVERHEAD
        assert len(thin) * row <= 200_000
        assert len(thin) * row > 80_000
        assert thin.stride in (16, 32)
        assert thin.iteration[0] == 0
        assert thin.iteration[-1] == 999
        recent = len(thin._recent)
        assert recent >= 20
        assert (np.diff(thin.iteration[-recent:]) == 1).all()
        assert (np.diff(thin.iteration[:-recent]) == thin.stride).all()
        for name in ("x", "size", "sign", "event", "f"):
            np.testing.assert_array_equal(getattr(thin, name), getattr(whole, name)[thin.iteration])
        for name, count in whole.counts.items():
            np.testing.assert_array_equal(thin.counts[name], count)
            np.testing.assert_array_equal(count, whole.where(name).sum(axis=0))
        for name, sizes in whole.firsts.items():
            np.testing.assert_array_equal(thin.firsts[name], sizes)

    @pytest.mark.parametrize(("n", "steps"), [(1, 400), (2000, 60)])
    def test_memory_stays_below_the_limit(self, n, steps):
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            trace = fill(Trace(limit=200_000), steps, n)
            used = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert trace.stride > 1
        # The allowance is for what is kept beside the rows: counts, first sizes, the last point.
        assert used < 200_000 + 300 * n + 50_000

    def test_rows_are_kept_at_the_stride(self):
        trace = fill(Trace(stride=7), 500, n=2)
        assert trace.iteration[:3].tolist() == [0, 7, 14]
        assert trace.iteration[-64:].tolist() == list(range(436, 500))

    def test_a_few_rows_are_kept_even_beyond_the_limit(self):
        assert 1 <= len(fill(Trace(limit=1), 100)) <= 4


class TestFiles:
    def test_a_loaded_trace_is_the_same_and_can_be_continued(self, tmp_path):
        path = tmp_path / "trace.npz"
        whole, first = fill(Trace(limit=50_000), 900), fill(Trace(limit=50_000), 900)
        first.save(path)
        again = Trace.load(path)
        for trace in (whole, again):
            trace.record(*(np.full(50, v) for v in (1.0,)), 0.0, *(np.full(50, v) for v in (1.0, 1.0, 0.1, 0.12)))
        for name in ("iteration", "f", "x", "sign", "size", "event", "g_max", "g_change", "x_change", "retreats"):
            ours, theirs = getattr(whole, name), getattr(again, name)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
        assert again.groups == whole.groups
        assert repr(again) == repr(whole)
        assert str(again.explain()) == str(whole.explain())
        with np.load(path) as arrays:
            assert "columns.x" in arrays

    def test_other_and_damaged_files_are_refused(self, tmp_path):
        path = tmp_path / "trace.npz"
        fill(Trace(), 30).save(path)
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (tmp_path / "damaged.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            Trace.load(tmp_path / "damaged.npz")
        npz.write(path, "checkpoint", 1, {})
        with pytest.raises(ValueError, match="is an rprop_ref checkpoint, not a trace"):
            Trace.load(path)
        npz.write(path, "trace", 1, {"columns": 1})
        with pytest.raises(ValueError, match="cannot load"):
            Trace.load(path)

    def test_the_tables_have_a_line_for_each_coordinate_of_each_row(self, tmp_path):
        fun, jac, x0, _ = problems.PROBLEMS["sphere"]
        trace = minimize(fun, x0, jac=jac, maxiter=12, trace=True).trace
        table = trace.to_dict()
        assert {len(column) for column in table.values()} == {len(trace) * 3}
        assert table["coordinate"][:4].tolist() == [0, 1, 2, 0]
        trace.to_csv(tmp_path / "t.csv")
        with open(tmp_path / "t.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        assert list(lines[0]) == list(table)
        assert len(lines) == len(trace) * 3
        for name in ("x", "step_size", "f"):
            assert [float(line[name]) for line in lines] == table[name].tolist()
        assert [line["event"] for line in lines] == table["event"].tolist()


class TestCrosscheck:
    @pytest.mark.parametrize("variant", sampled(rules.RULES, ["rprop+"]))
    def test_every_case_of_the_referee_is_recorded(self, variant):
        for case in crosscheck.conformance_cases(["float64", "complex64", "float16"]):
            trace = crosscheck.trace(case, variant)
            assert len(trace) == case.steps + 1
            assert set(np.flatnonzero(trace.where("no step").all(axis=1))) == {*case.none, case.steps}
        case = next(c for c in crosscheck.conformance_cases(["float64"]) if c.name == "basics")
        trace = crosscheck.trace(case, variant)
        states = naive.run(variant, case.x0, list(case.g), lr=0.1, losses=list(case.loss))
        assert same_bits(trace.x[1:], np.array([x for x, _, _ in states]))
        assert same_bits(trace.size[:-1], np.array([size for _, _, size in states]))

    @pytest.mark.exhaustive
    def test_the_trace_of_an_implementation_departs_where_the_report_says(self):
        class Late:
            """Moves by the step size before it is adapted."""

            def __init__(self, x0, *, lr, etas, step_sizes, maximize):
                self.x, self.size, self.prev = x0.copy(), np.full_like(x0, lr), np.zeros_like(x0)

            def step(self, grad, loss=None):
                q = grad * self.prev
                self.x = self.x - np.sign(grad) * np.where(q < 0, 0, self.size)
                self.size = self.size * np.where(q > 0, 1.2, np.where(q < 0, 0.5, 1))
                self.prev = np.where(q < 0, 0, grad)
                return self.x

        report = crosscheck.check(
            Late, dtypes=["float64"], without=["nan", "inf", "maximize", "etas", "step_sizes"]
        )
        smallest = report.smallest
        mine, right = crosscheck.trace(smallest.case, factory=Late), crosscheck.trace(smallest.case)
        assert same_bits(mine.x[: smallest.step], right.x[: smallest.step])
        assert mine.x[smallest.step, smallest.coordinate] == smallest.got
        assert right.x[smallest.step, smallest.coordinate] == smallest.expected
