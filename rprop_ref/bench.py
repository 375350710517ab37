"""``python -m rprop_ref bench --cuda``: bits and speed on the GPU of this machine, in one table.

Rivals take turns in one process, and the times are lower quartiles. Bandwidths are of the time between two events
on the GPU; everything else is the time on the clock of many calls, with what Python does in them, until the GPU
has done them.

It is made for a machine that is at hand once: a part that fails, or finds too little memory, loses nothing but
itself; rows are printed, and written to the file, when they are known; and the whole has a time limit.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import gc
import importlib.util
import json
import platform
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from cuda_kernels import arrays, flat

from . import backends, rules
from ._core import dtypes
from ._core.constants import rule_constants
from ._multistart.minimize_many import minimize_many
from ._multistart.starts import starts
from ._step.rprop import Rprop
from .autograd import Parameter
from .bits import same_bits

Array = np.ndarray[Any, Any]
Shapes = Sequence[tuple[int, ...]]

_WIDTH, _LAYERS = 768, 12
#: The 148 parameters of GPT-2 small.
GPT2: Shapes = [
    (50257, _WIDTH),
    (1024, _WIDTH),
    *[
        shape
        for _ in range(_LAYERS)
        for shape in (
            *[(_WIDTH,), (_WIDTH,), (_WIDTH, 3 * _WIDTH), (3 * _WIDTH,), (_WIDTH, _WIDTH), (_WIDTH,)],
            *[(_WIDTH,), (_WIDTH,), (_WIDTH, 4 * _WIDTH), (4 * _WIDTH,), (4 * _WIDTH, _WIDTH), (_WIDTH,)],
        )
    ],
    (_WIDTH,),
    (_WIDTH,),
]


@dataclass
class Sizes:
    """How much is measured; `TINY` is for trying the script itself, in Numba's simulator for instance."""

    arrays: Sequence[int] = (1_000_000, 100_000_000, 1_000_000_000)
    large: int = 100_000_000
    lists: dict[str, Shapes] = field(
        default_factory=lambda: {"GPT-2 small": GPT2, "10,000 x 64": [(64,)] * 10_000}
    )
    #: Those that torch.compile is measured with; the last may take it longer than there is time.
    compiled: Sequence[str] = ("GPT-2 small", "10,000 x 64")
    starts: int = 1_000_000
    maxiter: int = 10_000
    bits: int = 100_003
    rounds: int = 7
    turn: float = 0.05
    #: Seconds for all parts together.
    limit: float = 450.0


TINY = Sizes(
    arrays=(100,),
    large=50,
    lists={"GPT-2 small": [(5, 3), (3,), (2,)], "10,000 x 64": [(4,)] * 5},
    starts=4,
    maxiter=30,
    bits=40,
    rounds=1,
    turn=0.0,
)


class TooLong(BaseException):
    """There is no time left. Not an Exception, so that no library takes it for an error of its own."""


def main(sizes: Sizes | None = None, file: str | None = None, only: str = "") -> int:
    """Print the table, and write it to a JSON file as well; returns the exit status.

    With `only`, the parts of the table whose names contain it: "bits", "float32", "Rosenbrock", "beside torch",
    "graphs", "compiled".
    """
    try:
        backends.require_cuda()
    except (ModuleNotFoundError, RuntimeError) as error:
        print(f"rprop_ref: {error}", file=sys.stderr)
        return 2
    return Bench(sizes or Sizes(), file, only).run()


class Bench:
    """The table, printed as it grows."""

    def __init__(self, sizes: Sizes, file: str | None = None, only: str = "") -> None:
        from cuda_kernels import _cuda

        self._sizes = sizes
        self._cuda = _cuda
        self._torch = _torch()
        self._file, self._only = file, only
        self._began = time.perf_counter()
        self._found: dict[str, Any] = {"machine": self._machine(), "rows": [], "failed": []}

    def run(self) -> int:
        print(self._found["machine"])
        print(f"{'':66}{'ours':>12}{'theirs':>12}{'ratio':>9}   goal", flush=True)
        if self._torch is None:
            print("torch with CUDA is not installed: no comparisons with it")
        # What hangs where no signal is heard ends the process; the rows so far have been printed and written.
        faulthandler.dump_traceback_later(self._sizes.limit + 25, exit=True, file=sys.__stderr__ or sys.stderr)
        try:
            for name, part in self._parts():
                self._try(name, part)
        finally:
            faulthandler.cancel_dump_traceback_later()
        self._found["seconds"] = time.perf_counter() - self._began
        self._write()
        print(f"{self._found['seconds']:.0f} seconds; {len(self._found['failed'])} parts failed")
        return 1 if self._found["failed"] else 0

    def _parts(self) -> list[tuple[str, Callable[[], None]]]:
        large = f"{self._sizes.large:.0e}"
        lists = {large: [(self._sizes.large,)], **self._sizes.lists}
        # First what matters most, and last what may take minutes to compile.
        parts: list[tuple[str, Callable[[], None]]] = [("bits", self._bits)]
        parts += [(f"{n:.0e} float32", functools.partial(self._bandwidth, n)) for n in self._sizes.arrays]
        parts.append(("Rosenbrock", self._rosenbrock))
        if self._torch is not None:
            for what, measure in (("beside torch", self._beside_torch), ("in graphs", self._in_graphs)):
                parts += [(f"{n}, {what}", functools.partial(measure, n, shapes)) for n, shapes in lists.items()]
            for name in (large, *self._sizes.compiled):
                parts.append((f"{name}, compiled", functools.partial(self._beside_compiled, name, lists[name])))
        return [(name, part) for name, part in parts if self._only in name]

    def _try(self, name: str, part: Callable[[], None]) -> None:
        left = self._sizes.limit - (time.perf_counter() - self._began)
        if left < 0.001:
            self._fail(name, "not begun, for want of time")
            return
        try:
            _alarm(left)
            part()
        except TooLong:
            self._fail(name, f"stopped after {left:.0f} s, for want of time")
        except Exception as error:  # for want of memory, for instance
            lines = str(error).strip().splitlines() or [""]
            self._fail(name, f"{type(error).__name__}: {lines[0]}")
        finally:
            _alarm(0)
        with contextlib.suppress(Exception):  # each part finds all the memory that there is
            gc.collect()
            self._cuda.free_memory()
            if self._torch is not None:
                self._torch.cuda.empty_cache()

    def _fail(self, name: str, why: str) -> None:
        self._found["failed"].append({"part": name, "why": why})
        print(f"{name}: {why}", flush=True)
        self._write()

    def _write(self) -> None:
        if self._file is not None:
            Path(self._file).write_text(json.dumps(self._found, indent=1) + "\n")

    def _machine(self) -> str:
        name, driver = self._cuda.gpu_and_driver()
        versions = [f"driver for CUDA {driver}", f"Python {platform.python_version()}"]
        for package in ("numpy", "numba", "numba-cuda", "cuda-core", "torch", "triton"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions.append(f"{package} {metadata.version(package)}")
        return f"{name}; {', '.join(versions)}; {time.strftime('%Y-%m-%d')}"

    def _row(self, what: str, ours: str, theirs: str, ratio: float | None, goal: float | None = None) -> None:
        """A row; the goal is what the ratio has to reach."""
        met = None if goal is None or ratio is None else ratio >= goal
        row = {"what": what, "ours": ours, "theirs": theirs, "ratio": ratio, "goal": goal, "met": met}
        self._found["rows"].append(row)
        wanted = "" if goal is None else f">= {goal:g}{'' if met else '  missed'}"
        print(
            f"{what:66}{ours:>12}{theirs:>12}{'' if ratio is None else f'{ratio:.2f}':>9}   {wanted}", flush=True
        )
        self._write()

    # ---------------------------------------------------------------------------------------------------
    # Bits

    def _bits(self) -> None:
        """Steps of every rule and dtype with numbers of all kinds, on the GPU and by NumPy."""
        rng = np.random.default_rng(1)
        compared = different = 0
        for dtype in map(np.dtype, ("float16", "float32", "float64", "complex64", "complex128", *_bfloat16())):
            for variant in rules.RULES:
                for count in (1, 3):
                    compared += 1
                    different += not self._same_bits(rng, dtype, variant, count)
        same = compared - different
        self._row("runs that have NumPy's bits, of those made", str(same), str(compared), same / compared, 1)

    def _same_bits(self, rng: np.random.Generator, dtype: np.dtype[Any], variant: str, count: int) -> bool:
        starts = [_mixed(rng, dtype, self._sizes.bits // count) for _ in range(count)]
        there = arrays.from_host(starts)
        on_gpu, on_host = [Parameter(x) for x in there], [Parameter(x) for x in starts]
        options: dict[str, Any] = {"variant": variant, "step_sizes": (1e-3, 10.0)}
        ours, theirs = Rprop(on_gpu, **options), Rprop(on_host, backend="numpy", **options)
        for loss in (1.0, 2.0, 1.0, 3.0, 3.0):
            for p, q in zip(on_gpu, on_host, strict=True):
                q.grad = _mixed(rng, dtype, q.size)
                p.grad = arrays.from_host([q.grad])[0]
            ours.step(loss=loss)
            theirs.step(loss=loss)
        same = [same_bits(x.copy_to_host(), q.data) for x, q in zip(there, on_host, strict=True)]
        for p, q in zip(on_gpu, on_host, strict=True):
            same += [
                same_bits(ours.state[p][key].copy_to_host(), theirs.state[q][key]) for key in ("prev", "step_size")
            ]
        return all(same)

    # ---------------------------------------------------------------------------------------------------
    # Bandwidth

    def _bandwidth(self, n: int) -> None:
        """A step moves 28 bytes for each float32, a copy 8."""
        dtype = np.dtype(np.float32)
        (x,), (g,) = (arrays.filled([(n,)], dtype, value, 0) for value in (1.0, 1.0))
        (prev,), (size,), (other,) = (arrays.filled([(n,)], dtype, value, 0) for value in (1.0, 0.01, 0.0))
        constants = tuple(map(np.float32, rule_constants(dtype, (0.5, 1.2), (1e-6, 50), False)))
        source, target = self._cuda.bytes_at(g.address, 4 * n), self._cuda.bytes_at(other.address, 4 * n)

        def step() -> None:
            flat.run("irprop-", "float32", x.address, g.address, prev.address, size.address, n, constants)

        def copy() -> None:
            target.copy_to_device(source)

        times = self._contest({"ours": step, "copy": copy}, self._gpu_seconds)
        ours, theirs = 28 * n / times["ours"], 8 * n / times["copy"]
        goal = 0.9 if n >= 100_000_000 else None
        what = f"{n:.0e} float32: bytes per second, over a copy on the GPU"
        self._row(what, _rate(ours), _rate(theirs), ours / theirs, goal)

    # ---------------------------------------------------------------------------------------------------
    # Many starts

    def _rosenbrock(self) -> None:
        """A start for each thread. The objective's products and sums are fused, so this is about speed alone."""

        @self._cuda.cuda.jit(device=True)  # type: ignore[untyped-decorator]
        def rosenbrock(x: Any, g: Any) -> Any:
            d = x[1] - x[0] * x[0]
            g[0] = -400.0 * x[0] * d - 2.0 * (1.0 - x[0])
            g[1] = 200.0 * d
            return 100.0 * d * d + (1.0 - x[0]) * (1.0 - x[0])

        points = starts([(-2.0, 2.0), (-1.0, 3.0)], self._sizes.starts, seed=1)
        minimize_many(rosenbrock, points[:2], maxiter=2)  # compiles it

        def seconds(maxiter: int) -> tuple[float, Any]:
            began = time.perf_counter()
            result = minimize_many(rosenbrock, points, maxiter=maxiter)
            return time.perf_counter() - began, result

        whole, result = seconds(self._sizes.maxiter)
        # The way to the GPU and back, and what the host makes of it.
        around, _ = seconds(1)
        what = f"{len(points):,} starts of Rosenbrock, n = 2: {result.success.mean():.1%} converged"
        self._row(what, f"{whole:.3g} s", "", None)
        self._row("    the same with one iteration each", f"{around:.3g} s", "", None)
        rate = result.nit.sum() / max(whole - around, 1e-9) / 1e6
        self._row("    millions of iterations per second, in what is between", f"{rate:.4g}", "", None)

    # ---------------------------------------------------------------------------------------------------
    # Beside torch

    def _setup(self, shapes: Shapes) -> tuple[list[Any], list[Any]]:
        torch = self._torch
        generator = torch.Generator(device="cuda").manual_seed(1)
        made = [[torch.randn(s, device="cuda", generator=generator) for s in shapes] for _ in range(2)]
        return made[0], made[1]

    def _ours(self, shapes: Shapes) -> tuple[Any, Callable[[], Any]]:
        data, grads = self._setup(shapes)
        params = [Parameter(t) for t in data]
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        optimizer = Rprop(params, capturable=True)
        return params, optimizer.step

    def _theirs(self, shapes: Shapes, **options: Any) -> tuple[Any, Callable[[], Any]]:
        data, grads = self._setup(shapes)
        params = [t.requires_grad_() for t in data]
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        optimizer = self._torch.optim.Rprop(params, **options)
        return params, optimizer.step

    def _beside_torch(self, name: str, shapes: Shapes) -> None:
        kept, ours = self._ours(shapes)
        also_kept, theirs = self._theirs(shapes, foreach=True)
        times = self._contest({"ours": ours, "theirs": theirs}, self._clock_seconds)
        self._times(f"{name}: times faster than torch foreach", times, 5)
        del kept, also_kept

    def _in_graphs(self, name: str, shapes: Shapes) -> None:
        kept, ours = self._ours(shapes)
        also_kept, theirs = self._theirs(shapes, foreach=True, capturable=True)
        graphs = {"ours": self._graph(ours), "theirs": self._graph(theirs)}
        times = self._contest(graphs, self._clock_seconds)
        self._times(
            f"{name}: the same, both replayed from CUDA graphs", times, 1 if name in self._sizes.lists else None
        )
        del kept, also_kept

    def _beside_compiled(self, name: str, shapes: Shapes) -> None:
        kept, ours = self._ours(shapes)
        also_kept, theirs = self._theirs(shapes, foreach=True, capturable=True)
        theirs()  # makes the state, so that it is no part of what is compiled
        began = time.perf_counter()
        compiled = self._torch.compile(theirs, fullgraph=False)
        for _ in range(2):
            compiled()
        seconds = time.perf_counter() - began
        times = self._contest({"ours": ours, "theirs": compiled}, self._clock_seconds)
        goal = 0.97 if name != "10,000 x 64" else None
        self._times(f"{name}: times faster than torch.compile ({seconds:.0f} s to compile)", times, goal)
        del kept, also_kept

    def _graph(self, step: Callable[[], Any]) -> Callable[[], Any]:
        torch = self._torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Memory that Numba freed meanwhile would end the recording.
        with self._cuda.cuda.defer_cleanup(), torch.cuda.graph(graph):
            step()
        return graph.replay  # type: ignore[no-any-return]

    # ---------------------------------------------------------------------------------------------------
    # Times

    def _times(self, what: str, times: dict[str, float], goal: float | None) -> None:
        self._row(
            what, _duration(times["ours"]), _duration(times["theirs"]), times["theirs"] / times["ours"], goal
        )

    def _contest(
        self, calls: dict[str, Callable[[], Any]], seconds: Callable[[Callable[[], Any], int], float]
    ) -> dict[str, float]:
        """The seconds of one call of each: they take turns, and the lower quartile is taken."""
        repeats = {}
        for name, call in calls.items():
            for _ in range(3):
                call()
            once = max(seconds(call, 3) / 3, 1e-7)
            repeats[name] = min(max(int(self._sizes.turn / once), 1), 20_000)
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(self._sizes.rounds):
            for name, call in calls.items():
                found[name].append(seconds(call, repeats[name]) / repeats[name])
        return {name: float(np.quantile(values, 0.25)) for name, values in found.items()}

    def _clock_seconds(self, call: Callable[[], Any], times: int) -> float:
        self._finish()
        began = time.perf_counter()
        for _ in range(times):
            call()
        self._finish()
        return time.perf_counter() - began

    def _gpu_seconds(self, call: Callable[[], Any], times: int) -> float:
        if self._cuda.SIMULATED:  # its events have no times
            return self._clock_seconds(call, times)
        cuda = self._cuda.cuda
        began, ended = cuda.event(), cuda.event()
        began.record()
        for _ in range(times):
            call()
        ended.record()
        ended.synchronize()
        return float(cuda.event_elapsed_time(began, ended)) / 1000

    def _finish(self) -> None:
        if self._torch is not None:
            self._torch.cuda.synchronize()
        else:
            self._cuda.cuda.synchronize()


def _alarm(seconds: float) -> None:
    """Raise `TooLong` after so many seconds, 0 for never; where there are no signals, nothing happens."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _too_long)
        # And again, since an exception is lost where Python happens to be in a finalizer.
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)


def _too_long(*args: Any) -> None:
    raise TooLong


def _bfloat16() -> list[Any]:
    """The dtype, if the package that has it is there."""
    return [dtypes.named("bfloat16")] if importlib.util.find_spec("ml_dtypes") else []


def _torch() -> Any:
    """The module, if it is there and has CUDA."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch if torch.cuda.is_available() else None


def _mixed(rng: np.random.Generator, dtype: np.dtype[Any], n: int) -> Array:
    """Ordinary numbers, NaN, infinities, zeros of both signs, numbers that underflow and overflow."""
    part = dtypes.real(dtype)
    reals = rng.standard_normal(n * (dtype.itemsize // part.itemsize)).astype(part)
    if dtype.name == "bfloat16":  # which NumPy does not know
        import ml_dtypes

        info: Any = ml_dtypes.finfo(part)  # type: ignore[no-untyped-call]
    else:
        info = np.finfo(part)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, info.smallest_subnormal, info.tiny, -info.max], part)
    chosen = rng.choice(special, reals.size)
    return np.where(rng.random(reals.size) < 0.2, chosen, reals).view(dtype)


def _rate(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e9:.4g} GB/s"


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.4g} us"
