"""The parts that compare steps with torch.optim.Rprop: as they are, in CUDA graphs, and compiled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cuda_kernels import _cuda

from .._step.rprop import Rprop
from ..autograd import Parameter
from .sizes import MANY_SMALL, Shapes
from .table import Table, duration
from .timing import Call, Timer

#: torch's fastest steps, and those that can be recorded in a graph.
FOREACH = {"foreach": True}
CAPTURABLE = {"foreach": True, "capturable": True}


class BesideTorch:
    """Measures our steps and torch's on the same lists of tensors."""

    def __init__(self, torch: Any, table: Table, timer: Timer) -> None:
        self._torch, self._table, self._timer = torch, table, timer

    def foreach(self, name: str, shapes: Shapes) -> None:
        times = self._timer.compare({"ours": self._ours(shapes), "theirs": self._theirs(shapes, FOREACH)})
        self._row(f"{name}: times faster than torch foreach", times, 5)

    def in_graphs(self, name: str, shapes: Shapes) -> None:
        ours, theirs = self._ours(shapes), self._theirs(shapes, CAPTURABLE)
        # The graphs use the memory of the optimizers, which these two steps keep alive.
        times = self._timer.compare({"ours": self._graph(ours), "theirs": self._graph(theirs)})
        goal = 1 if len(shapes) > 1 else None
        self._row(f"{name}: the same, both replayed from CUDA graphs", times, goal)

    def compiled(self, name: str, shapes: Shapes) -> None:
        ours, theirs = self._ours(shapes), self._theirs(shapes, CAPTURABLE)
        theirs()  # makes the state, so that making it is not compiled
        began = time.perf_counter()
        compiled = self._torch.compile(theirs, fullgraph=False)
        for _ in range(2):
            compiled()
        seconds = time.perf_counter() - began
        times = self._timer.compare({"ours": ours, "theirs": compiled})
        goal = 0.97 if name != MANY_SMALL else None
        self._row(f"{name}: times faster than torch.compile ({seconds:.0f} s to compile)", times, goal)

    def _row(self, what: str, times: dict[str, float], goal: float | None) -> None:
        ours, theirs = times["ours"], times["theirs"]
        self._table.row(what, duration(ours), duration(theirs), theirs / ours, goal)

    def _ours(self, shapes: Shapes) -> Call:
        values, grads = self._tensors(shapes)
        return _step(Rprop, list(map(Parameter, values)), grads, {"capturable": True})

    def _theirs(self, shapes: Shapes, options: dict[str, Any]) -> Call:
        values, grads = self._tensors(shapes)
        return _step(self._torch.optim.Rprop, [t.requires_grad_() for t in values], grads, options)

    def _tensors(self, shapes: Shapes) -> tuple[list[Any], list[Any]]:
        torch = self._torch
        generator = torch.Generator(device="cuda").manual_seed(1)
        values, grads = ([torch.randn(s, device="cuda", generator=generator) for s in shapes] for _ in range(2))
        return values, grads

    def _graph(self, step: Call) -> Call:
        torch = self._torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # If Numba freed memory during the recording, the recording would fail.
        with _cuda.cuda.defer_cleanup(), torch.cuda.graph(graph):
            step()

        replay: Call = graph.replay
        return replay


def _step(optimizer: Callable[..., Any], params: list[Any], grads: list[Any], options: dict[str, Any]) -> Call:
    """The bound step of an optimizer, which keeps its parameters and gradients alive."""
    for p, g in zip(params, grads, strict=True):
        p.grad = g
    step: Call = optimizer(params, **options).step
    return step
