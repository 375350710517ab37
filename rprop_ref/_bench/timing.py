"""How rivals are timed: they take turns in one process, and the lower quartile counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cuda_kernels import _cuda

from .sizes import Sizes

Call = Callable[[], Any]


class Timer:
    """Times calls that launch work on the GPU.

    Parameters
    ----------
    sizes : Sizes
    torch : module or None
        torch, if its work is timed, too.
    """

    def __init__(self, sizes: Sizes, torch: Any = None) -> None:
        self._sizes, self._torch = sizes, torch

    def compare(self, calls: dict[str, Call], *, on_gpu: bool = False) -> dict[str, float]:
        """The seconds of one call of each.

        With `on_gpu`, the time between two events on the GPU, otherwise the time on the clock of many calls until
        the GPU has done them, with what Python does in them.
        """
        seconds = self._gpu_seconds if on_gpu else self._clock_seconds
        repeats = {}
        for name, call in calls.items():
            for _ in range(3):
                call()
            once = max(seconds(call, 3) / 3, 1e-7)
            repeats[name] = min(max(int(self._sizes.turn / once), 1), 20_000)
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(self._sizes.rounds):
            for name, call in calls.items():
                times[name].append(seconds(call, repeats[name]) / repeats[name])
        return {name: float(np.quantile(values, 0.25)) for name, values in times.items()}

    def _clock_seconds(self, call: Call, repeats: int) -> float:
        self._synchronize()
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        self._synchronize()
        return time.perf_counter() - began

    def _gpu_seconds(self, call: Call, repeats: int) -> float:
        if _cuda.SIMULATED:  # the simulator's events have no times
            return self._clock_seconds(call, repeats)
        began, ended = _cuda.cuda.event(), _cuda.cuda.event()
        began.record()
        for _ in range(repeats):
            call()
        ended.record()
        ended.synchronize()
        return float(_cuda.cuda.event_elapsed_time(began, ended)) / 1000

    def _synchronize(self) -> None:
        if self._torch is not None:
            self._torch.cuda.synchronize()
        else:
            _cuda.cuda.synchronize()
