"""``python -m rprop_ref bench --cuda``: bits and speed on the GPU of this machine, in one table.

Rivals take turns in one process, and times are lower quartiles. Bandwidths use the time between two events on the
GPU; everything else is the time on the clock of many calls, with what Python does in them, until the GPU has done
them.

The machine may be available only once. So a part that fails, or does not find enough memory, does not stop the
others; rows are printed, and written to the file, as soon as they are measured; and there is a time limit for all
parts.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

from . import backends
from ._bench.sizes import TINY, Sizes
from ._bench.table import Table
from ._bench.time_limit import OutOfTimeError, exit_after, time_limit

__all__ = ["TINY", "Sizes", "main"]

Part = Callable[[], None]


def main(sizes: Sizes | None = None, file: str | None = None, only: str = "") -> int:
    """Print the table, and write it to a JSON file as well; return the exit status.

    With `only`, measure the parts whose names contain it: "bits", "float32", "Rosenbrock", "beside torch",
    "graphs", "compiled".
    """
    try:
        backends.require_cuda()
    except (ModuleNotFoundError, RuntimeError) as error:
        print(f"rprop_ref: {error}", file=sys.stderr)
        return 2
    sizes, torch = sizes or Sizes(), _torch()
    table = Table(_machine(), file)
    if torch is None:
        print("torch with CUDA is not installed: no comparisons with it")
    # If a part hangs, the rows so far have been printed and written.
    with exit_after(sizes.time_limit + 25):
        for name, part in _parts(table, sizes, torch):
            if only in name:
                _try(table, name, part, sizes.time_limit - table.seconds)
                _free_memory(torch)
    return table.finish()


def _parts(table: Table, sizes: Sizes, torch: Any) -> list[tuple[str, Part]]:
    """The parts by their names: first what matters most, and last what may take minutes to compile."""
    from ._bench import beside_torch, parts, timing

    partial, timer = functools.partial, timing.Timer(sizes, torch)
    named: list[tuple[str, Part]] = [("bits", partial(parts.bits, table, sizes))]
    named += [(f"{n:.0e} float32", partial(parts.bandwidth, table, timer, n)) for n in sizes.bandwidth]
    named.append(("Rosenbrock", partial(parts.rosenbrock, table, sizes)))
    if torch is None:
        return named
    rivals = beside_torch.BesideTorch(torch, table, timer)
    one_array = f"{sizes.one_array:.0e}"
    lists = {one_array: [(sizes.one_array,)], **sizes.lists}
    named += [(f"{name}, beside torch", partial(rivals.foreach, name, shapes)) for name, shapes in lists.items()]
    named += [(f"{name}, in graphs", partial(rivals.in_graphs, name, shapes)) for name, shapes in lists.items()]
    for name in (one_array, *sizes.compiled):
        named.append((f"{name}, compiled", partial(rivals.compiled, name, lists[name])))
    return named


def _try(table: Table, name: str, part: Part, seconds_left: float) -> None:
    """Run a part; if it fails, or takes too long, only say so in the table."""
    if seconds_left < 0.001:
        table.fail(name, "not started: no time left")
        return
    try:
        with time_limit(seconds_left):
            part()
    except OutOfTimeError:
        table.fail(name, f"stopped after {seconds_left:.0f} s: no time left")
    except Exception as error:  # for lack of memory, for instance
        lines = str(error).strip().splitlines() or [""]
        table.fail(name, f"{type(error).__name__}: {lines[0]}")


def _free_memory(torch: Any) -> None:
    """Let the next part have all memory."""
    from cuda_kernels import _cuda

    with contextlib.suppress(Exception):
        gc.collect()
        _cuda.free_memory()
        if torch is not None:
            torch.cuda.empty_cache()


def _machine() -> str:
    from cuda_kernels import _cuda

    name, driver = _cuda.gpu_and_driver()
    versions = [f"driver for CUDA {driver}", f"Python {platform.python_version()}"]
    for package in ("numpy", "numba", "numba-cuda", "cuda-core", "torch", "triton"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return f"{name}; {', '.join(versions)}; {time.strftime('%Y-%m-%d')}"


def _torch() -> Any:
    """The module torch, or None if it is not installed or has no CUDA."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch if torch.cuda.is_available() else None
