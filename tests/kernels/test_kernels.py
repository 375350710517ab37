"""The compiled kernels: what code they are, when they are compiled, and where they may run."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import types
from pathlib import Path

import cases
import numba
import numpy as np
import pytest
from runs import engine

import rprop_ref
from numba_kernels import _cache, flat, iterate
from rprop_ref import Parameter, Rprop
from rprop_ref._core import iteration, loops, record
from rprop_ref._core import vectors as vector_operations
from rprop_ref._core.arrays import joined, slices
from rprop_ref._core.constants import rule_constants
from rprop_ref._core.pattern import AHEAD, BETWEEN
from rprop_ref._core.probing import begin_check
from rprop_ref._core.status import Status
from rprop_ref._minimizer.starting import begin
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES

ROOT = Path(rprop_ref.__file__).parent.parent


def arrays(n, dtype, rng):
    x, g = rng.standard_normal((2, n)).astype(dtype)
    return x, g, np.zeros(n, dtype), np.full(n, 0.1, dtype)


def constants_of(dtype):
    return rule_constants(np.dtype(dtype), (0.5, 1.2), (1e-6, 50), False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", cases.sampled(cases.VARIANTS, ["irprop-"]))
@pytest.mark.parametrize("parallel", [False, True])
def test_the_code_contracts_nothing_and_widens_nothing(parallel, variant, dtype, rng):
    """No fused multiply-add, and in float32 no operation on doubles: each would round differently."""
    # Compiled afresh, because a kernel from the disk has no text to look at.
    text = flat.kernel(variant, parallel).py_func
    kernel = numba.njit(error_model="numpy", parallel=parallel)(text)
    kernel(*arrays(64, dtype, rng), constants_of(dtype), False)
    check_code(kernel, dtype)


@pytest.mark.exhaustive
def test_the_compiled_iteration_contracts_nothing():
    dtype = "float32"  # which has operations on doubles as well
    kernel = numba.njit(error_model="numpy")(iterate.kernel(RULES["irprop-"]).py_func)
    vectors, scalars = np.ones((record.ROWS, 5), dtype), np.ones(record.ENTRIES)
    bound = iterate.bind(vectors, scalars, constants_of(dtype), "irprop-")
    kernel(*bound.args, 1.0, vectors[0], 1)
    # Tolerances and values are doubles whatever the dtype, so only contraction is looked for.
    check_code(kernel, "float64")


def check_code(kernel, dtype):
    texts = [*kernel.inspect_asm().values(), *kernel.inspect_llvm().values()]
    assert any("mul" in text for text in texts)
    for text in texts:
        assert not re.search(r"\bv?fn?m(add|sub)\w*\b|llvm\.fma|llvm\.fmuladd", text)
        assert not re.search(r"\b(fmul|fadd|fsub|fcmp) (?:\w+ )*(fast|contract|reassoc|nnan|ninf)\b", text)
        if dtype == "float32":
            assert not re.search(r"\b(fmul|fadd|fsub|fcmp \w+|fpext) (?:\w+ )*double\b", text)
            assert not re.search(r"\bv?(mul|add|sub|cmp\w*)[ps]d\b|\bv?cvtss2sd\b", text)


def test_no_flag_that_changes_arithmetic_is_set_anywhere():
    for folder in ("rprop_ref", "numba_kernels", "cuda_kernels"):
        for file in (ROOT / folder).rglob("*.py"):
            assert "fastmath=" not in file.read_text(), file


def test_steps_on_the_same_kind_of_array_compile_nothing_new(rng):
    for parallel in (False, True):
        run = flat.kernel("irprop-", parallel)
        for n in (10, 1000):
            run(*arrays(n, "f4", rng), constants_of("f4"), False)
        before = len(run.signatures)
        for n in (0, 1, 77, 5000):
            run(*arrays(n, "f4", rng), constants_of("f4"), True)
        assert len(run.signatures) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a.__setitem__(0, a[0].astype("f2")),
        lambda a: a.__setitem__(1, a[1].astype("f8")),
        lambda a: a.__setitem__(2, a[2][:5]),
        lambda a: a.__setitem__(3, np.zeros(20, "f4")[::2]),
        lambda a: a.__setitem__(1, np.zeros(20, "f4")[::2]),
        lambda a: a.__setitem__(0, a[0].reshape(2, 5)),
        lambda a: a[0].setflags(write=False),
        lambda a: a.append(constants_of("f4")[:6]),
    ],
    ids=["half", "mixed dtypes", "length", "strided state", "strided gradient", "2-d", "read-only", "constants"],
)
def test_arrays_that_do_not_fit_are_refused_before_anything_is_written(spoil, rng):
    given = list(arrays(10, "f4", rng))
    spoil(given)
    before = [a.copy() for a in given]
    with pytest.raises(TypeError):
        flat.step("irprop-", *(given if len(given) == 5 else [*given, constants_of("f4")]))
    for array, old in zip(given, before, strict=True):
        assert same_bits(array, old)


def test_the_checked_form_steps(rng):
    x, g, prev, size = arrays(10, "f4", rng)
    expected = x - np.sign(g) * np.float32(0.1)
    g.flags.writeable = False
    for parallel in (None, False, True):
        y = x.copy()
        flat.step("irprop-", y, g, prev.copy(), size.copy(), constants_of("f4"), parallel=parallel)
        assert same_bits(y, expected)


class TestGathering:
    def test_slices_are_recognised_as_joined(self):
        base = np.arange(20.0)
        parts = slices(base, [(2,), (), (3, 4), (0,), (5,)])
        assert [p.shape for p in parts] == [(2,), (), (3, 4), (0,), (5,)]
        assert joined(parts) is not None
        assert same_bits(joined(parts), base)
        assert same_bits(joined(parts[1:3]), base[2:15])

    @pytest.mark.parametrize(
        "arrays",
        [
            [np.zeros(2), np.zeros(2)],
            slices(np.zeros(6), [(2,), (2,), (2,)])[::-1],
            slices(np.zeros(6), [(2,), (2,), (2,)])[::2],
            [np.zeros(6)[::2]],
            [np.zeros((2, 3))[0]],
        ],
        ids=["apart", "wrong order", "a gap", "strided", "from a 2-d array"],
    )
    def test_others_are_not(self, arrays):
        assert joined(arrays) is None


def test_two_python_threads_may_step_at_once(rng):
    """One enters the parallel kernel, the other takes the sequential one; the bits do not tell."""
    starts = [rng.standard_normal(5000) for _ in range(2)]
    grads = rng.standard_normal((50, 5000))
    results = [None, None]

    def work(i):
        p = Parameter(starts[i].copy())
        o = Rprop([p], backend="numba")
        for g in grads:
            p.grad = g
            o.step()
        results[i] = p.data

    with engine("parallel, 2 threads"):
        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    both = list(results)
    for i in range(2):
        with engine("sequential"):
            work(i)
        assert same_bits(results[i], both[i])


def _step_in_child(queue):
    with engine("parallel, 2 threads"):
        p = Parameter(np.zeros(1000))
        p.grad = np.ones(1000)
        Rprop([p], lr=0.5, backend="numba").step()
    queue.put(p.data[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_may_step_after_its_parent_used_threads(rng):
    with engine("parallel, 2 threads"):
        flat.run("irprop-", *arrays(1000, "f8", rng), constants_of("f8"))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    # Python 3.12 warns about any fork of a process with threads, which is what is tried here; and so does JAX, if
    # another test has loaded it.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        child = context.Process(target=_step_in_child, args=(queue,))
        child.start()
    assert queue.get(timeout=60) == -0.5
    child.join(60)
    assert child.exitcode == 0


_CHILD_OF_A_USER_OF_OPENMP = """
import multiprocessing, numba, numpy as np
@numba.njit(parallel=True)
def user(x):
    for i in numba.prange(x.size):
        x[i] += 1
def child():
    from rprop_ref import Parameter, Rprop
    p = Parameter(np.ones(200_000)); p.grad = np.ones(200_000)
    Rprop([p], lr=0.5, backend="numba").step()
    print(p.data[0], flush=True)
user(np.ones(100_000))
process = multiprocessing.get_context("fork").Process(target=child)
process.start(); process.join()
print(process.exitcode)
"""


def python(code, **variables):
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_may_step_after_a_user_of_openmp():
    assert python(_CHILD_OF_A_USER_OF_OPENMP) == ["0.5", "0"]


def test_with_workqueue_other_threads_mean_no_threads(monkeypatch):
    monkeypatch.setattr(numba, "threading_layer", lambda: "workqueue")
    assert flat._may_use_threads() == (threading.active_count() == 1)
    with_company = threading.Event()
    company = threading.Thread(target=with_company.wait)
    company.start()
    try:
        assert not flat._may_use_threads()
        monkeypatch.setattr(numba, "threading_layer", lambda: "omp")
        assert flat._may_use_threads()
    finally:
        with_company.set()
        company.join()


_FOUR_THREADS_TWO_PROCESSORS = """
import numba, numpy as np
from numba_kernels import _quota, flat
from rprop_ref import rules
_quota.processors = lambda: 2.5
flat._kernels[rules.RULES["irprop-"], True] = lambda *arguments: print(numba.get_num_threads())
flat.run("irprop-", *[np.ones(9)] * 5, parallel=True)
numba.set_num_threads(1)
flat.run("irprop-", *[np.ones(9)] * 5, parallel=True)
print(numba.get_num_threads())
"""


def test_there_are_no_more_threads_than_processors_and_the_users_number_is_kept():
    assert python(_FOUR_THREADS_TWO_PROCESSORS, NUMBA_NUM_THREADS="4") == ["2", "1", "1"]


_ONE_OF_EACH = """
import numpy as np, rprop_ref as r, warnings
warnings.simplefilter("error")
p = r.Parameter(np.ones(2_000_000)); p.grad = np.ones(2_000_000); o = r.Rprop([p], lr=0.5); o.step()
print(p.data[0], r.minimize(lambda x: (float(x @ x), 2 * x), np.ones(3), jac=True, backend=None).success)
"""


def test_without_compilation_numpy_does_the_work():
    assert python("import numba" + _ONE_OF_EACH, NUMBA_DISABLE_JIT="1") == ["0.5", "True"]


def test_without_a_place_for_the_cache_kernels_are_compiled_all_the_same():
    hide = (
        "from numba.core import caching\n"
        "class Nowhere(caching.FunctionCache):\n"
        "    def __init__(self, f): raise RuntimeError('no locator available')\n"
        "import numba.core.dispatcher as d; d.FunctionCache = Nowhere\n"
    )
    assert python(hide + _STEP + "print(x[0])") == ["-2.2"]


_STEP = """
import numpy as np
from rprop_ref import Parameter, Rprop
from numba_kernels import flat
kernel = flat.kernel("irprop-", parallel=False)
p = Parameter(np.zeros(1)); p.grad = np.ones(1)
o = Rprop([p], lr=1.0, backend="numba")
o.step(); o.step()
x = p.data
"""

_DIGESTS = """
from pathlib import Path
from numba_kernels import _disk
print(_disk._digest())
for source in (Path("rprop_ref/rules.py"), *Path("rprop_ref/_core").glob("*.py"), *Path("numba_kernels").glob("*.py")):
    if source.name != "__init__.py":
        source.write_text(source.read_text() + "# edited")
        print(_disk._digest())
"""

_COUNTS = "print(x[0], sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))"


@pytest.mark.exhaustive
def test_an_edit_of_any_source_takes_effect_in_the_next_process(tmp_path):
    """The cache on disk is used when nothing changed, and not when a rule or the iteration did."""
    for folder in ("rprop_ref", "numba_kernels", "cuda_kernels"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"PYTHONPATH": str(tmp_path)}

    def run(code):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def probe(code):
        return [float(v) for v in run(code + _COUNTS).split()]

    for hits in (0, 1):
        assert probe(_STEP) == [-2.2, hits, 1 - hits]

    rules = tmp_path / "rprop_ref" / "rules.py"
    text = rules.read_text()
    assert text.count("size = size * factor") == 1
    rules.write_text(text.replace("size = size * factor", "size = size * factor * factor"))
    for hits in (0, 1):
        assert probe(_STEP) == [-1 - 1.44, hits, 1 - hits]

    # Every kernel is stamped with a digest, which the edit of any source changes.
    for kernel in ("iterate.py", "loop.py", "many_runs.py"):
        assert 'stamp = f"{DIGEST} ' in (tmp_path / "numba_kernels" / kernel).read_text()
    digests = run(_DIGESTS).split()
    assert len(set(digests)) == len(digests) > 20


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(("variant", "dtype"), cases.rules_and_dtypes())
def test_the_compiled_iteration_equals_its_text(variant, dtype, bounded, rng):
    """With values and gradients of every kind, not finite ones included."""
    dtype = np.dtype(dtype)
    n = 7
    constants = rule_constants(dtype, (0.5, 1.2), (1e-3, 10.0), False)
    ends, stretches, stages = set(), set(), set()
    for k in range(45):
        box = None
        if bounded:
            lower, upper = rng.choice([-np.inf, -1, -0.3, 0.0], n), rng.choice([0.0, 0.3, 1, np.inf], n)
            box = lower.astype(dtype), upper.astype(dtype)
        sizes = rng.choice([1e-30, 0.01, 1.0], n if rng.random() < 0.7 else 1)
        start = rng.standard_normal(n).astype(dtype)
        every = (np.inf, 3.0, 1.0)[k % 3]
        state = begin(start, (n,), np.broadcast_to(sizes, n), box, constants, variant, False, every)
        vectors, scalars = state.vectors, state.scalars
        entries = [
            record.MAXITER,
            record.MAXFEV,
            record.XTOL,
            record.SIZE_FLOOR,
            record.F_RESOLUTION,
            record.WINDOW,
            record.PATIENCE,
            record.F_TARGET,
        ]
        scalars[entries] = 25, 50, 1e-9, 1e-30, 1e-7, 10, 20, -np.inf
        scalars[record.GTOL] = rng.choice([0.0, 1.0])
        scalars[record.GTOL_NEGLIGIBLE] = (-1.0, 1.0)[k // 3 % 2]
        scalars[record.FTOL] = rng.choice([-1, 1e-3])
        copies = vectors.copy(), scalars.copy()
        advance = iterate.bind(vectors, scalars, constants, variant)
        for t in range(60):
            f = float(rng.choice([1.0, 1.0 + 1e-9, 2.0, 0.5, np.inf, np.nan], p=[0.3, 0.2, 0.2, 0.2, 0.05, 0.05]))
            special = rng.random(n) < 0.02 * (t > 0)
            g = np.where(special, cases.mixed(rng, dtype, n), rng.standard_normal(n).astype(dtype))
            copies[1][record.NFEV] = t
            with np.errstate(all="ignore"):
                g = g * dtype.type(rng.random() < 0.97)
                expected = iteration.advance(*copies, constants, variant, f, g)
            status = advance(f, g, t)
            if status == Status.CLAIMED:
                with np.errstate(all="ignore"):
                    status = begin_check(vectors, scalars)
            assert status == expected
            assert same_bits(vectors, copies[0])
            assert same_bits(scalars, copies[1])
            if bounded:
                assert (vectors[record.X] >= box[0]).all()
                assert (vectors[record.X] <= box[1]).all()
            stretches.add(scalars[record.STRETCH])
            stages.add(scalars[record.PATTERN])
            if expected >= 0 or scalars[record.CHECK]:
                ends.add(expected)
                break
    assert {0.25, 2.0} <= stretches
    assert stages == {0, AHEAD, BETWEEN}
    assert {Status.CONVERGED, Status.NOT_FINITE} <= ends
    assert ends & {Status.ITERATION_LIMIT, Status.NO_IMPROVEMENT}


def test_compiled_pattern_moves_of_float32_are_computed_in_float64(rng):
    extrapolate = iterate.functions(RULES["irprop-"])["extrapolate"]

    @numba.njit(error_model="numpy")
    def compiled(x, start, base, stretch):
        extrapolate(x, start, base, stretch)

    for rows in ((0, 0, 1), (0, 1, 0), (0, 1, 2)):
        for _ in range(100):
            expected = rng.standard_normal((3, 7)).astype(np.float32)
            result, stretch = expected.copy(), 2.0 ** rng.integers(-2, 11)
            compiled(*(result[row] for row in rows), stretch)
            vector_operations.extrapolate(*(expected[row] for row in rows), stretch)
            assert same_bits(result, expected)


def test_modules_that_are_compiled_together_give_a_name_one_value():
    """Compiled functions of all these modules see the integers of all of them."""
    values = {}
    for module in (record, *loops._UNCHANGED):
        for name, value in vars(module).items():
            if isinstance(value, int):
                values.setdefault(name, set()).add(int(value))
    assert "CONTINUE" in values
    assert {name: given for name, given in values.items() if len(given) > 1} == {}


def test_functions_of_kernels_have_names_of_their_own():
    """Machine code of several processes is linked by names."""

    def text(x):
        return x

    names = set()
    for _ in range(3):
        names.add(_cache.inner(types.FunctionType(text.__code__, {}, "text")).py_func.__qualname__)
    assert len(names) == 3


@pytest.mark.exhaustive
def test_kernels_that_two_processes_compiled_run_together(tmp_path):
    """Each of two processes compiles the kernels of one rule; a third one loads both. (ALL=1: also the largest.)"""
    code = """
import os, sys
import numba, numpy as np
from rprop_ref import minimize, minimize_many

@numba.njit
def fun(x, g):
    f = 0.0
    for i in range(x.size):
        g[i] = 2 * (i + 1) * (x[i] - 1.0) + 0.7 * (x[(i + 1) % x.size] - x[i])
        f += (i + 1) * (x[i] - 1.0) ** 2
    return f

def plain(x):
    g = np.zeros_like(x)
    return fun(x, g), g

x0 = np.array([-3.0, 3.7, 2.2])
for variant in sys.argv[1:]:
    for bounds in (None, [(-5, 0.9), (0.3, 4.0), (-1, 3)]):
        options = dict(variant=variant, bounds=bounds, etas=(0.5, 1.2), gtol=0, xtol=0, ftol=0, maxiter=60)
        expected = minimize(plain, x0, jac=True, backend="numpy", **options).x.tobytes()
        assert minimize(fun, x0, **options).x.tobytes() == expected
        assert minimize(plain, x0, jac=True, backend="numba", **options).x.tobytes() == expected
        if "ALL" in os.environ:
            assert minimize_many(fun, np.array([x0] * 20), **options).x[7].tobytes() == expected
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for variants in (["rprop-"], ["irprop-go"], ["rprop-", "irprop-go"]):
        subprocess.run([sys.executable, "-c", code, *variants], env=environment, check=True)
