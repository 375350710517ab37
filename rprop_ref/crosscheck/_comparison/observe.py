"""Running an implementation on a case."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..._core.dtypes import named as dtype_named
from .._cases.case import Array, Case
from .._cases.dtypes import COMPLEX
from .trajectory import QUANTITIES, Trajectory

Factory = Callable[..., Any]

#: Frames in files below this folder are ours.
_PACKAGE = str(Path(__file__).parents[2])


class CouldNotRun(Exception):  # noqa: N818 - it says what happened
    """The implementation failed, or its answer is not usable."""


class AnswersMixedUp(CouldNotRun):
    """Answers were taken for those to other questions, so nothing seen in this run counts."""


def observe(factory: Factory, case: Case, without: frozenset[str] = frozenset()) -> Trajectory:
    """Run a case, and copy everything that is shown after each step.

    Whatever exception the implementation raises becomes the `error` of the trajectory.
    """
    run = _Run(factory, case, without)
    error = None
    try:
        # Overflow and NaN are part of the cases, so NumPy need not warn.
        with np.errstate(all="ignore"):
            run.all_steps()
    except CouldNotRun as failure:
        error = str(failure)
        if isinstance(failure, AnswersMixedUp) or not getattr(factory, "answers_are_known", True):
            run.discard()
    except (Exception, SystemExit) as failure:
        error = one_line(failure)
    return run.trajectory(error)


def observe_all(
    factory: Factory, cases: Sequence[Case], without: frozenset[str] = frozenset()
) -> Iterator[Trajectory]:
    """Run each of some cases, when its turn comes.

    What the referee is tested on makes the same steps for many cases at once, in less time, by ``run_all(cases)``.
    """
    run_all = getattr(factory, "run_all", None)
    hidden: dict[str, Any] = {name: None for name in ("step_size", "prev") if name in without}
    if run_all is None:
        yield from (observe(factory, case, without) for case in cases)
    elif cases:
        yield from (replace(made, **hidden) for made in run_all(cases))


def one_line(failure: BaseException) -> str:
    """The type and message of an exception, and where it was raised, unless that is in this package."""
    text = " ".join(f"{type(failure).__name__}: {failure}".split())
    outside = [f for f in traceback.extract_tb(failure.__traceback__) if not f.filename.startswith(_PACKAGE)]
    # Prefer the implementation's own line to a line of a library that it called.
    own = [f for f in outside if "site-packages" not in f.filename and not f.filename.startswith("<frozen")]
    if not outside:
        return text
    frame = (own or outside)[-1]
    return f"{text} ({Path(frame.filename).name}:{frame.lineno}, in {frame.name})"


class _Run:
    def __init__(self, factory: Factory, case: Case, without: frozenset[str]) -> None:
        self.factory, self.case = factory, case
        self.values: dict[str, list[Array]] = {q: [] for q in QUANTITIES}
        self.hidden = set(without)

    def all_steps(self) -> None:
        case = self.case
        optimizer = self._started(self._to_caller(case.x0))
        x = case.x0
        buffer = self._to_caller(case.x0)  # the caller's gradient array, for cases that use one at every step
        # Where gradients do not depend on x, all steps up to the next saved state are known.
        announces = getattr(self.factory, "checks_runs", False) and case.objective is None
        for t in range(case.steps):
            if t in case.resumed:
                state = optimizer.save()
                optimizer = self._started(self._to_caller(x))
                optimizer.load(state)
            if announces and (t == 0 or t in case.resumed):
                optimizer.announce(case, t, min((s for s in case.resumed if s > t), default=case.steps))
            if t in case.edits:
                optimizer.set(**case.edits[t])
            x = self._one_step(optimizer, t, x, buffer)
        if getattr(self.factory, "checks_runs", False):
            optimizer.finish()

    def _one_step(self, optimizer: Any, t: int, x: Array, buffer: Array) -> Array:
        """Make a step, and store what is shown after it."""
        case = self.case
        raw: Array = case.g[t]
        if case.objective is not None:
            raw = case.objective.gradient(x[None, :])[0]
        loss = {"loss": case.loss[t]} if case.loss else {}
        if t in case.none:
            answer = optimizer.step(None, **loss)
            gradient_after = np.zeros_like(raw)
        else:
            g = self._to_caller(raw)
            if case.reused:
                buffer[...] = g
                g = buffer
            answer = optimizer.step(g, **loss)
            gradient_after = self._from_caller(g, "the gradient")
        shown = {"x": self._from_caller(answer, "step()"), "gradient": gradient_after}
        for name in ("step_size", "prev"):
            value = getattr(optimizer, name, None) if name not in self.hidden else None
            if value is None:
                self.hidden.add(name)
            else:
                shown[name] = self._from_caller(value, name)
        # Only now, so that a step is stored as a whole or not at all.
        for name, values in shown.items():
            self.values[name].append(values)
        return shown["x"]

    def _started(self, x: Array) -> Any:
        case = self.case
        setting: dict[str, Any] = {"etas": case.etas, "step_sizes": case.step_sizes, "maximize": case.maximize}
        setting["lr"] = case.lr.copy() if isinstance(case.lr, np.ndarray) else case.lr
        if case.bounds is not None:
            setting["bounds"] = case.bounds
        if getattr(self.factory, "takes_objective", False):
            setting["objective"] = case.objective
        return self.factory(x, **setting)

    def _to_caller(self, a: Array) -> Array:
        """A copy in the dtype of the case, complex if that is."""
        return a.view(dtype_named(self.case.dtype)).copy() if self.case.dtype in COMPLEX else a.copy()

    def _from_caller(self, value: Any, source: str) -> Array:
        """A copy of what the implementation shows, as real numbers in the dtype of the case."""
        case = self.case
        if type(value) is np.ndarray and value.dtype == case.x0.dtype and value.shape == case.x0.shape:
            return value.copy()
        try:
            array = np.asarray(value)
            allowed = (np.number, np.bool_) if case.dtype in COMPLEX else (np.integer, np.floating, np.bool_)
            # The types of ml_dtypes are not among NumPy's.
            if not issubclass(array.dtype.type, allowed) and array.dtype != case.real:
                raise TypeError(f"of dtype {array.dtype}")
            if case.dtype in COMPLEX:
                array = np.ascontiguousarray(array, dtype_named(case.dtype)).reshape(-1).view(case.real)
            with np.errstate(all="ignore"):
                array = np.array(array, case.real).reshape(-1)
        except (TypeError, ValueError) as error:
            raise CouldNotRun(f"{source} gave {_short(value)}, which is no array of numbers ({error})") from None
        if array.size == 1 != case.size and source != "step()":
            array = np.full(case.size, array[0])
        if array.shape != case.x0.shape:
            raise CouldNotRun(f"{source} gave {array.size} numbers for {case.size} coordinates")
        return array

    def discard(self) -> None:
        """Forget all steps."""
        self.values = {q: [] for q in QUANTITIES}

    def trajectory(self, error: str | None) -> Trajectory:
        steps, size = len(self.values["x"]), self.case.size

        def stacked(name: str) -> Array:
            return np.array(self.values[name], self.case.real).reshape(steps, size)

        state = {q: None if q in self.hidden else stacked(q) for q in ("step_size", "prev")}
        return Trajectory(self.case, stacked("x"), gradient=stacked("gradient"), error=error, **state)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
