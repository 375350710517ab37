"""Where Numba cannot be loaded, or its cache cannot be used, runs go on with the same bits."""

from __future__ import annotations

import errno
import gc
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
import types
import zipfile
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching

import rprop_ref
from numba_kernels import _cache, _collector, _disk, flat, iterate, loading, loop, many_runs
from rprop_ref import backends, minimize, minimize_many
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES

ROOT = Path(rprop_ref.__file__).parent.parent


def python(code, *arguments, **variables):
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", **{k: str(v) for k, v in variables.items()}}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_as_it_was_after_a_compilation_that_failed(enabled):
    def look():
        seen.append(gc.isenabled())
        raise MemoryError

    seen = []
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(MemoryError), _collector.paused():
            look()
        assert (seen, gc.isenabled()) == ([False], enabled)
    finally:
        (gc.enable if was_enabled else gc.disable)()


# --------------------------------------------------------------------------------------------------------------
# Numba is installed, and cannot be loaded

_BROKEN = """
import ctypes, importlib.machinery, sys, time, warnings
import numpy as np, rprop_ref as r
from rprop_ref.bits import same_bits
from scipy import LowLevelCallable
from numba_kernels import loading
from rprop_ref import backends, demo

class Broken:
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name.split(".")[0] == "numba" else None
    def create_module(self, spec):
        pass
    def exec_module(self, module):
        raise error
sys.meta_path.insert(0, Broken())

def steps(backend):
    p = r.Parameter(np.ones(3)); o = r.Rprop([p], lr=0.5, backend=backend)
    p.grad = p.data * 2; o.step()
    yield p.data
    arrays = [[np.full(3, v)] for v in (1.0, 2.0, 0.0, 0.5)]
    numbers = {"step_size_min": 0, "step_size_max": 1, "etaminus": 0.5, "etaplus": 1.2}
    r.rprop(*arrays, [np.zeros((), "f4")], **numbers, backend=backend)
    yield arrays[0][0]

@ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, *[ctypes.POINTER(ctypes.c_double)] * 2, ctypes.c_void_p)
def c(n, x, g, data):
    for i in range(n): g[i] = 2 * x[i]
    return sum(x[i] ** 2 for i in range(n))
c = LowLevelCallable(c, signature="double (int, double *, double *, void *)")

def runs(backend):
    fun = lambda x: (float(x @ x), 2 * x)
    yield r.minimize(fun, np.ones(3), jac=True, backend=backend).x
    yield r.minimize(fun, np.ones(3), jac=True, backend=backend, trace=True).x
    yield r.minimize_many(fun, np.ones((2, 3)), jac=True, backend=backend).x
    yield r.minimize(c, np.ones(3), backend=backend).x
    yield r.minimize_many(c, np.ones((2, 3)), backend=backend).x

loading._started_process = lambda kernel: None  # it has another importer

def settled():
    while loading._wanted: time.sleep(0.001)

def forget():
    backends._failed.clear(); loading._errors.clear()

expected = [*steps("numpy"), *runs("numpy")]
backends.spend(5)
"""

_ERRORS = """
class Odd(BaseException): pass
for error in (ImportError("Numba needs NumPy 2.2 or less"), OSError("libllvmlite.so"), SystemError("x"), Odd("x")):
    forget()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        results = [*steps(None), *runs(None)]
        settled()
        demo.warm_up()
        results += [*steps(None), *runs(None)]
    same = all(same_bits(a, b) for a, b in zip(results, expected * 2, strict=True))
    told = [str(w.message) for w in seen]
    print(same, len(told), str(error) in told[0], seen[0].category.__name__, seen[0].filename)
    for run in (r.Rprop([r.Parameter(np.ones(3))], backend="numba").step, lambda: next(runs("numba"))):
        try:
            if not isinstance(error, Odd): run()
        except Exception as raised: print(raised is error)
p = r.Parameter(np.ones(3)); p.grad = p.data * 2; o = r.Rprop([p], backend="numba")
try: o.step()
except Odd: print(p.data, dict(o.state))
error = KeyboardInterrupt()
forget()
try: demo.warm_up()
except KeyboardInterrupt: print("interrupted")
"""


def test_numba_that_cannot_be_loaded_is_reported_once_and_numpy_goes_on():
    printed = python(_BROKEN + _ERRORS)
    for _ in range(3):
        assert printed[:1] == ["True 1 True RuntimeWarning <string>"]
        # A step without gradients needs no kernel.
        assert printed[1:2] == ["True"]
        printed = printed[2:]
    assert printed == ["True 1 True RuntimeWarning <string>", "[1. 1. 1.] {}", "interrupted"]


# --------------------------------------------------------------------------------------------------------------
# Beside a run

_BESIDE = """
import os, sys, threading, time
import numpy as np
from numba_kernels import loading
from rprop_ref import Parameter, Rprop, backends
processes, start = [], loading._started_process
def started(kernel):
    processes.append(start(kernel)); return processes[-1]
loading._started_process = started

def optimizer(backend):
    p = Parameter(np.arange(4.0)); p.grad = p.data * 2
    return p, Rprop([p], lr=0.5, backend=backend)

def wait_for(what):
    while not what(): time.sleep(0.002)

backends.spend(5)
(p, o), (q, reference) = optimizer(None), optimizer("numpy")
def steps():
    o.step(); reference.step()
    assert (p.data == q.data).all()
"""

_SWITCH = """
import warnings; warnings.simplefilter("ignore")  # Python 3.12 warns of every fork beside a thread
loading._patience = 60
numpy_steps = forks = 0
while not loading._made:
    steps(); numpy_steps += 1; time.sleep(0.01)
    if numpy_steps % 20 == 0 or "numba" in sys.modules:
        child = os.fork()
        if child == 0:  # it steps by itself, also where its parent was loading Numba
            steps(); c, other = optimizer("numba" if "numba" in sys.modules else None); other.step()
            os._exit(0 if c.data[1] == 0.5 else 1)
        assert os.waitpid(child, 0)[1] == 0
for _ in range(3): steps()
from numba_kernels import flat
print(numpy_steps > 1, processes[0].returncode, *flat.kernel("irprop-", False).stats.cache_hits.values())
wait_for(lambda: threading.active_count() == 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_steps_go_on_while_another_process_compiles_and_a_thread_loads(tmp_path):
    assert python(_BESIDE + _SWITCH, NUMBA_CACHE_DIR=tmp_path) == ["True 0 1"]
    # Another time the kernel is on disk.
    loads = _BESIDE + "while not loading._made: steps(); time.sleep(0.01)\nprint(processes)"
    assert python(loads, NUMBA_CACHE_DIR=tmp_path) == ["[]"]


_IDLE = """
loading._patience = 0.05
steps(); wait_for(lambda: threading.active_count() == 1)
print(processes[0].returncode != 0, loading._made, loading._patience)
loading._patience = 60
steps(); wait_for(lambda: len(processes) == 2); print(processes[1].pid, flush=True)
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.skipif(os.name != "posix", reason="asks for a process by its number")
def test_nothing_is_left_running_when_nobody_asks_or_the_interpreter_ends(tmp_path):
    idle, pid = python(_BESIDE + _IDLE, NUMBA_CACHE_DIR=tmp_path)
    assert idle == "True set() 0.1"
    assert not is_running(int(pid))
    killed = _BESIDE + _IDLE + "os.kill(os.getpid(), 9)"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", killed], env=environment, capture_output=True, check=False)
    pid = int(done.stdout.split()[-1])
    while is_running(pid):
        time.sleep(0.01)


def test_no_process_is_started_from_an_application(monkeypatch):
    """It would be the application once more."""
    assert loading._interpreter() == sys.executable
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert loading._interpreter() is None
    monkeypatch.setattr(sys, "executable", None)
    assert loading._interpreter() is None
    monkeypatch.setattr(sys, "executable", "python")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert loading._interpreter() is None


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_what_crashes_the_other_process_is_not_tried_in_this_one(monkeypatch):
    crash = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    monkeypatch.setattr(loading, "_started_process", lambda kernel: subprocess.Popen(crash))
    kernel = kernel_named("crashing", "f8")
    assert not loading.ready(kernel)
    while kernel in loading._wanted:
        time.sleep(0.001)
    assert "signal 9" in str(loading.error(kernel))


def kernel_named(kind, dtype, bits=0, read_only=False):
    return loading.Kernel(kind, RULES["rprop-"], np.dtype(dtype), bits, read_only)


def test_a_thread_that_cannot_be_started_is_reported(monkeypatch):
    kernel = kernel_named("nothing", "f8")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("too many")))
        patch.setattr(loading, "_thread", None)
        assert not loading.ready(kernel)
    assert str(loading.error(kernel)) == "too many"
    assert not loading.ready(kernel)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_step_whose_kernel_is_ready_compiles_nothing(dtype, read_only):
    p = rprop_ref.Parameter(np.ones(10, dtype))
    g = np.ones(10, dtype)
    g.flags.writeable = not read_only
    p.grad = g
    kernel = flat.kernel("irprop-", False)
    loading.make(loading.Kernel("flat", RULES["irprop-"], p.data.real.dtype, 5, read_only))
    before = len(kernel.signatures)
    rprop_ref.Rprop([p], backend="numba").step()
    assert len(kernel.signatures) == before


_LOOP = """
import sys, time
import numba, numpy as np
from numba_kernels import loading
from rprop_ref import minimize
from rprop_ref._minimizer import drivers
from rprop_ref.bits import same_bits
loading._patience = 60
processes, start = [], loading._started_process
def started(kernel):
    processes.append(kernel); return start(kernel)
loading._started_process = started
ready = loading.ready
def ready_slowly(kernel):  # a run that waits for a process leaves it the processor
    if processes and kernel not in loading._made: time.sleep(0.02)
    return ready(kernel)
loading.ready = ready_slowly
switches, prepare = [], drivers.CompiledDriver.__init__
def prepared(driver, objective, compiled, state):
    switches.append(state.nit); prepare(driver, objective, compiled, state)
drivers.CompiledDriver.__init__ = prepared

@numba.njit
def rosenbrock(x, g):
    t, u = x[1] - x[0] * x[0], 1 - x[0]
    g[0], g[1] = -400 * t * x[0] - 2 * u, 200 * t
    return 100 * t * t + u * u

def run(maxiter, **options):
    slow = {"step_sizes": (0, 1e-7), "pattern_every": None}
    return minimize(rosenbrock, [-1.2, 1.0], maxiter=maxiter, **slow, **options).state

run(50)
print(len(processes), len(switches))
long = run(3_000_000)
print(len(processes), 100 < switches[0] < long.nit == 3_000_000)
again = run(3_000_000, backend="numba")
print(same_bits(again.vectors, long.vectors) and same_bits(again.scalars, long.scalars), switches[1:])
"""

_MANY = """
from numba_kernels import many_runs
from rprop_ref import minimize_many, starts
from rprop_ref._multistart import minimize_many as module

parts, joined = [], module.joined
def recorded(rows):
    parts[:] = map(len, rows); return joined(rows)
module.joined = recorded
x0s = starts([(-2, 2)] * 2, 20_000, seed=1)
few = minimize_many(rosenbrock, x0s[:3], maxiter=50)  # too few to wait for the kernel
print(parts, len(processes))
many = minimize_many(rosenbrock, x0s, maxiter=300)
ones = parts.count(1)
print(len(processes), parts[:ones] == [1] * ones, 3 < ones < sum(parts) == 20_000)
again = minimize_many(rosenbrock, x0s, maxiter=300, backend="numba")
names = [name for name in many if isinstance(many[name], np.ndarray)]
print(names, all(same_bits(many[name], again[name]) for name in names))
print(many.gradient, list(many.message) == list(again.message))
"""


@pytest.mark.exhaustive
def test_runs_in_machine_code_go_on_with_numpy_until_it_is_ready(tmp_path):
    columns = ["success", "status", "fun", "x", "nit", "jac", "nfev", "njev"]
    for one, both in ((1, 2), (0, 0)):  # processes that compile; the second time, all is on disk
        printed = python(_LOOP + _MANY, NUMBA_CACHE_DIR=tmp_path)
        assert printed[:3] == ["0 0", f"{one} True", "True [0]"]
        assert printed[3:] == [f"[1, 1, 1] {both}", f"{both} True True", f"{columns} True", "compiled True"]


@pytest.mark.exhaustive
def test_runs_whose_kernels_are_ready_compile_nothing():
    @numba.njit
    def fun(x, g):
        g[:] = 2 * x
        return np.sum(x * x)

    kernels = [module.kernel(RULES["irprop-"]) for module in (iterate, loop, many_runs)]
    for kind in ("iterate", "loop", "many_runs"):
        loading.make(loading.Kernel(kind, RULES["irprop-"], np.dtype("f8"), 0, False))
    before = [len(kernel.signatures) for kernel in kernels]
    for bounds in (None, [(-1, 0.5)]):
        minimize(lambda x: (float(x @ x), 2 * x), [0.25], jac=True, bounds=bounds, backend="numba")
        minimize(fun, [0.25], bounds=bounds, maximize=True, maxiter=3)
        minimize_many(fun, [[0.25]], bounds=bounds)
    assert [len(kernel.signatures) for kernel in kernels] == before


# --------------------------------------------------------------------------------------------------------------
# The cache on disk


def test_a_mark_is_valid_for_the_sources_and_the_numba_that_made_it(folder, monkeypatch):
    assert not _disk.is_marked("kernel")
    _disk.mark("kernel")
    assert _disk.is_marked("kernel")
    monkeypatch.setattr(_disk, "_valid_for", lambda: "another")
    assert not _disk.is_marked("kernel")
    _disk.mark("no/folder")
    assert not _disk.is_marked("no/folder")


def test_a_numba_whose_attributes_raise_is_met_by_the_guard_alone(monkeypatch):
    class Raising(types.ModuleType):
        def __getattr__(self, name):
            raise RuntimeError(name)

    monkeypatch.setitem(sys.modules, "numba", Raising("numba"))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    assert not loading.jit_is_disabled()


def test_a_numba_without_metadata_is_accepted(monkeypatch):
    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)
    assert _disk._valid_for.__wrapped__() == f"{_disk.DIGEST} "


def test_a_folder_for_this_process_alone_is_removed_at_its_end(tmp_path):
    code = "from numba_kernels import _disk; print(_disk.use_temporary_folder()); print(_disk.folder().is_dir())"
    folder, was_there = python(code, TMPDIR=tmp_path)
    assert was_there == "True"
    assert folder.startswith(str(tmp_path))
    assert not list(tmp_path.iterdir())


def twice_kernel():
    """A kernel that is compiled in no time."""

    def twice(x):
        for i in range(x.size):
            x[i] *= 2

    return _cache.kernel_of(RULES["irprop-"], twice, {})


def doubled_by(kernel):
    x = np.arange(3.0)
    kernel(x)
    assert x.tolist() == [0, 2, 4]
    return sum(kernel.stats.cache_hits.values())


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(_disk, "folder", lambda: tmp_path)
    return tmp_path


def flipped(content):
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


@pytest.mark.parametrize("kind", [".nbi", ".nbc"])
def test_a_damaged_file_of_the_cache_is_written_again(kind, folder):
    damages = [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"garbage" * 100, flipped, lambda b: b[::-1]]
    assert doubled_by(twice_kernel()) == 0
    assert doubled_by(twice_kernel()) == 1
    (file,) = folder.glob(f"*{kind}")
    for damage in damages:
        file.write_bytes(damage(file.read_bytes()))
        doubled_by(twice_kernel())
        assert doubled_by(twice_kernel()) == 1, "the file should be sound again"


def test_a_cache_that_cannot_be_written_or_read_is_done_without(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(caching.os, "replace", full)
        kernel = twice_kernel()
        assert doubled_by(kernel) == 0
        assert not kernel._cache.is_filed
    assert doubled_by(twice_kernel()) == 0
    for file in folder.iterdir():
        file.unlink()
        file.mkdir()
    assert doubled_by(twice_kernel()) == 0
    shutil.rmtree(folder)
    folder.write_text("not a folder")
    assert doubled_by(twice_kernel()) == 0
    monkeypatch.setattr(_disk, "folder", lambda: None)
    assert doubled_by(twice_kernel()) == 0


def test_the_folder_of_the_cache_is_the_first_that_can_be_written_to(monkeypatch, tmp_path):
    find = _disk._first_writable.__wrapped__
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "numba"))
    assert find().parent == tmp_path / "numba"
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file"))
    assert find() == ROOT / "numba_kernels" / "__pycache__"
    monkeypatch.setattr(_disk, "__file__", str(tmp_path / "file" / "numba_kernels" / "_disk.py"))
    assert find().parent == tmp_path / "user" / "rprop_ref"
    for nowhere in (str(tmp_path / "file"), "~/.cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", nowhere)
        assert find() is None


def test_without_the_bytes_of_the_modules_nothing_is_kept_on_disk(monkeypatch):
    """As in a frozen application, whose loader has none: an update of it must not find the old code."""
    assert _disk._digest() == _disk.DIGEST
    real = importlib.util.find_spec

    def frozen(name):
        spec = real(name)
        spec.origin += "-not there"
        return spec

    monkeypatch.setattr(importlib.util, "find_spec", frozen)
    assert _disk._digest() == ""
    monkeypatch.setattr(_disk, "DIGEST", "")
    assert _disk._first_writable.__wrapped__() is None


_STEP = """
import sys; sys.path.insert(0, sys.argv[1])
import numpy as np, rprop_ref
from numba_kernels import flat
p = rprop_ref.Parameter(np.zeros(3)); p.grad = np.ones(3)
rprop_ref.Rprop([p], lr=0.5, backend="numba").step()
print(sys.argv[1] in rprop_ref.__file__, p.data[0], *flat.kernel("irprop-", False).stats.cache_hits.values())
"""


@pytest.mark.exhaustive
def test_a_package_in_a_zip_or_without_sources_is_compiled_and_cached(tmp_path):
    archive, compiled = tmp_path / "rprop.zip", tmp_path / "compiled"
    with zipfile.ZipFile(archive, "w") as file:
        for folder in ("rprop_ref", "numba_kernels", "cuda_kernels"):
            for source in (ROOT / folder).rglob("*.py"):
                file.write(source, source.relative_to(ROOT))
    zipfile.ZipFile(archive).extractall(compiled)
    compile_and_remove = (
        "import compileall, pathlib, sys; compileall.compile_dir(sys.argv[1], quiet=1, legacy=True)\n"
        "for source in pathlib.Path(sys.argv[1]).rglob('*.py'): source.unlink()"
    )
    python(compile_and_remove, str(compiled))
    for place in (archive, compiled):
        places = {"PYTHONPATH": "", "NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": tmp_path / "cache"}
        assert python(_STEP, str(place), **places) == ["True -0.5"]
        assert python(_STEP, str(place), **places) == ["True -0.5 1"]


# --------------------------------------------------------------------------------------------------------------
# Numba's compiler is switched off

_OBJECTIVES = """
import numba, numpy as np
@numba.njit
def writes(x, g, a=1.0):
    f = 0.0
    for i in range(x.size):
        f += a * (x.flat[i] - i) ** 2; g.flat[i] = a * 2 * (x.flat[i] - i)
    return f
@numba.njit
def returns(x):
    g = np.empty_like(x)
    f = 0.0
    for i in range(x.size):
        f += (x[i] - i) ** 2; g[i] = 2 * (x[i] - i)
    return f, g
@numba.njit
def value(x, a):
    f = 0.0
    for i in range(x.size):
        f += a * (x[i] - i) ** 2
    return f
@numba.njit
def gradient(x, a):
    g = np.empty_like(x)
    for i in range(x.size):
        g[i] = 2 * a * (x[i] - i)
    return g
@numba.cfunc("float64(intc, CPointer(float64), CPointer(float64), CPointer(float64))")
def c(n, x, g, a):
    f = 0.0
    for i in range(n):
        f += a[0] * (x[i] - i) ** 2; g[i] = a[0] * 2 * (x[i] - i)
    return f
CASES = [(writes, (), None), (writes, (3.0,), True), (returns, (), None), (returns, (), True),
         (value, (2.0,), gradient), (value, (2.0,), None), (c, (np.array([3.0]),), None)]
"""

_RESULTS = """
import rprop_ref as r, warnings
warnings.simplefilter("error")
for fun, args, jac in CASES:
    one = r.minimize(fun, [3.0, 5.0, 1.0], args, jac=jac)
    many = r.minimize_many(fun, [[3.0, 5.0, 1.0], [1.0, 2.0, 3.0]], args, jac=jac)
    print(*(m[k].tolist() for m in (one, many) for k in ("x", "jac")), one.nit, one.nfev, many.nfev, many.success)
print(r.minimize(writes, np.ones((2, 2))).x.tolist())
"""


@pytest.mark.exhaustive
def test_objectives_for_numba_run_as_python_if_its_compiler_is_switched_off():
    """From the start, and from a moment on at which they are compiled already."""
    printed = python(_OBJECTIVES + _RESULTS + "numba.config.DISABLE_JIT = True" + _RESULTS)
    compiled, called = printed[:8], printed[8:]
    assert called == compiled
    assert python(_OBJECTIVES + _RESULTS, NUMBA_DISABLE_JIT=1) == compiled


def switch_off(monkeypatch):
    while loading._wanted:
        time.sleep(0.001)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)


def test_a_breakpoint_in_an_objective_is_met_if_the_compiler_is_switched_off(monkeypatch):
    calls = []

    def fun(x, g):
        calls.append(x.copy())
        g[:] = 2 * x
        return float(x @ x)

    switch_off(monkeypatch)
    r = minimize(numba.njit(fun), [1.0, 2.0], maxiter=5)
    assert r.nit == 5
    assert len(calls) == r.nfev
    with pytest.raises(TypeError, match="writes its own gradient"):
        minimize(numba.njit(fun), [1.0, 2.0], jac=lambda x: 2 * x)


def test_plain_functions_mean_what_they_mean_otherwise_if_the_compiler_is_switched_off(monkeypatch):
    def fun(x, scale=2.0):
        return scale * float(x @ x)

    expected = minimize(fun, [1.0, 2.0])
    many = minimize_many(fun, np.ones((2, 2)), jac=lambda x: 4 * x)
    switch_off(monkeypatch)
    assert backends.resolve("numba", 3, np.dtype(float), "flat", "irprop-") == "numpy"
    backends.spend(5)
    assert same_bits(minimize(fun, [1.0, 2.0]).x, expected.x)
    assert same_bits(minimize_many(fun, np.ones((2, 2)), jac=lambda x: 4 * x).x, many.x)
    assert minimize(len, [1.0], jac=lambda x: 0 * x).success
