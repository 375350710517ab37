"""The parts that need no other library: the same bits as NumPy, bandwidth, and many starts."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np

from cuda_kernels import _cuda, arrays, flat

from .. import rules
from .._common.half import finfo
from .._core import dtypes
from .._core.constants import rule_constants
from .._multistart.minimize_many import minimize_many
from .._multistart.starts import starts
from .._step.rprop import Rprop
from ..autograd import Parameter
from ..bits import same_bits
from .sizes import Sizes
from .table import Table, rate
from .timing import Timer

Array = np.ndarray[Any, Any]


def bits(table: Table, sizes: Sizes) -> None:
    """Compare steps of every rule and dtype on the GPU with NumPy's, on ordinary and special numbers."""
    rng = np.random.default_rng(1)
    same = [
        _has_same_bits(rng, dtype, variant, sizes.bits // count, count)
        for dtype in all_dtypes()
        for variant in rules.RULES
        for count in (1, 3)
    ]
    equal, total = sum(same), len(same)
    table.row("runs with the same bits as NumPy, of all runs", str(equal), str(total), equal / total, 1)


def all_dtypes() -> list[np.dtype[Any]]:
    """The dtypes that parameters can have; bfloat16 if the package ml_dtypes is installed."""
    names = ["float16", "float32", "float64", "complex64", "complex128"]
    return [dtypes.named(n) for n in names + ["bfloat16"] * (importlib.util.find_spec("ml_dtypes") is not None)]


def _has_same_bits(rng: np.random.Generator, dtype: np.dtype[Any], variant: str, n: int, count: int) -> bool:
    """Whether some steps of `count` parameters with n elements each have the same bits on the GPU."""
    host_arrays = [_mixed(rng, dtype, n) for _ in range(count)]
    device_arrays = arrays.from_host(host_arrays)
    on_gpu, on_host = [Parameter(x) for x in device_arrays], [Parameter(x) for x in host_arrays]
    options: dict[str, Any] = {"variant": variant, "step_sizes": (1e-3, 10.0)}
    ours, theirs = Rprop(on_gpu, **options), Rprop(on_host, backend="numpy", **options)
    for loss in (1.0, 2.0, 1.0, 3.0, 3.0):
        for p, q in zip(on_gpu, on_host, strict=True):
            q.grad = _mixed(rng, dtype, q.size)
            p.grad = arrays.from_host([q.grad])[0]
        ours.step(loss=loss)
        theirs.step(loss=loss)
    same = [same_bits(x.copy_to_host(), q.data) for x, q in zip(device_arrays, on_host, strict=True)]
    for p, q in zip(on_gpu, on_host, strict=True):
        same += [
            same_bits(ours.state[p][key].copy_to_host(), theirs.state[q][key]) for key in ("prev", "step_size")
        ]
    return all(same)


def _mixed(rng: np.random.Generator, dtype: np.dtype[Any], n: int) -> Array:
    """Ordinary numbers, NaN, infinities, zeros of both signs, numbers that underflow and overflow."""
    part = dtypes.real(dtype)
    reals = rng.standard_normal(n * (dtype.itemsize // part.itemsize)).astype(part)
    info = finfo(part)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, info.smallest_subnormal, info.tiny, -info.max], part)
    chosen = rng.choice(special, reals.size)
    return np.where(rng.random(reals.size) < 0.2, chosen, reals).view(dtype)


def bandwidth(table: Table, timer: Timer, n: int) -> None:
    """Compare the bytes per second of a step with those of a copy: a step moves 28 per float32, a copy 8."""
    dtype = np.dtype(np.float32)
    x, g, prev, size, other = (arrays.filled([(n,)], dtype, v, 0)[0] for v in (1.0, 1.0, 1.0, 0.01, 0.0))
    constants = tuple(map(np.float32, rule_constants(dtype, (0.5, 1.2), (1e-6, 50), False)))
    source, target = _cuda.bytes_at(g.address, 4 * n), _cuda.bytes_at(other.address, 4 * n)

    def step() -> None:
        flat.run(rules.DEFAULT, "float32", x.address, g.address, prev.address, size.address, n, constants)

    def copy() -> None:
        target.copy_to_device(source)

    times = timer.compare({"step": step, "copy": copy}, on_gpu=True)
    ours, theirs = 28 * n / times["step"], 8 * n / times["copy"]
    goal = 0.9 if n >= 100_000_000 else None
    what = f"{n:.0e} float32: bytes per second, over a copy on the GPU"
    table.row(what, rate(ours), rate(theirs), ours / theirs, goal)


def rosenbrock(table: Table, sizes: Sizes) -> None:
    """Time many starts, one per thread.

    The compiler fuses products and sums of this objective, so it serves for speed alone.
    """

    @_cuda.cuda.jit(device=True)  # type: ignore[untyped-decorator]
    def objective(x: Any, g: Any) -> Any:
        d = x[1] - x[0] * x[0]
        g[0] = -400.0 * x[0] * d - 2.0 * (1.0 - x[0])
        g[1] = 200.0 * d
        return 100.0 * d * d + (1.0 - x[0]) * (1.0 - x[0])

    points = starts([(-2.0, 2.0), (-1.0, 3.0)], sizes.starts, seed=1)
    minimize_many(objective, points[:2], maxiter=2)  # compiles it

    def seconds(maxiter: int) -> tuple[float, Any]:
        began = time.perf_counter()
        result = minimize_many(objective, points, maxiter=maxiter)
        return time.perf_counter() - began, result

    whole, result = seconds(sizes.maxiter)
    # Copying to the GPU and back, and the work of the host.
    overhead, _ = seconds(1)
    what = f"{len(points):,} starts of Rosenbrock, n = 2: {result.success.mean():.1%} converged"
    table.row(what, f"{whole:.3g} s", "", None)
    table.row("    the same with one iteration each", f"{overhead:.3g} s", "", None)
    per_second = result.nit.sum() / max(whole - overhead, 1e-9) / 1e6
    table.row("    millions of iterations per second, in the difference", f"{per_second:.4g}", "", None)
