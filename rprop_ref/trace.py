"""`Trace`: what happened in a run, coordinate by coordinate."""

from __future__ import annotations

import html
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from . import rules
from ._common import display, npz
from ._core.checks import check_variant
from ._core.events import end_events
from ._tracing.attach import OptimizerHooks
from ._tracing.changes import Changes
from ._tracing.history import LIMIT, History, Row
from ._tracing.steps import flat_reals, step_events, storable
from .explain import Explanation, best_value, explain
from .hooks import RemovableHandle

if TYPE_CHECKING:
    from .optimizer import Optimizer

Array = np.ndarray[Any, Any]

_KIND, _VERSION = "trace", 5


class Trace(History):
    """What happened in a run: point, value, sign of the gradient, step size and event of every coordinate.

    ``minimize(..., trace=True).trace`` is one, `Trace.attach` makes one that follows an optimizer, and `record`
    fills one from any loop. Coordinates are numbered consecutively through all parameters, in C order; a complex
    number counts as two.

    Parameters
    ----------
    variant, etas, step_sizes, maximize : optional
        The rule and its options, as `Rprop` takes them. Needed for `record` only.
    stride : int, optional
        Keep only every ``stride``-th iteration.
    limit : int, optional
        Bytes that rows may take, 64 MiB by default. When they would take more, every second row is dropped and the
        stride doubled. The latest rows (64, or a quarter of what fits) are kept whatever the stride. `counts`
        cover all iterations in any case.

    Attributes
    ----------
    iteration, f : ndarray, shape (rows,)
        Number of the iteration, from 0, and value of the objective at `x`; NaN if none was given.
    x : ndarray, shape (rows, n)
        The point at which value and gradient were computed, before the step of that iteration.
    sign : ndarray of int8, shape (rows, n)
        Sign of the gradient there (not negated when maximizing); 0 also for NaN.
    size : ndarray, shape (rows, n)
        Step sizes after the step of that iteration, with which the next one begins: after a pattern move of
        `minimize`, small ones may have been lifted.
    event : ndarray of uint8, shape (rows, n)
        What the step did, in bits: see `where` and `words`.
    g_max, g_change, x_change : ndarray, shape (rows,)
        Largest absolute entry of the gradient, of its change and of the change of x. Changes are those since the
        iteration before, even if that has no row; NaN in the first.
    retreats : ndarray, shape (rows,)
        How often `minimize` had retreated, by this iteration, from points where the objective is not finite.
    pattern_move : ndarray of bool, shape (rows,)
        Whether a pattern move of `minimize` led to `x`, which then is farther from the row before than the step
        sizes. A point of a pattern move that was no lower has no row.
    probes : int
        How many points `minimize` evaluated to check whether the best point is a minimum.
    pattern_moves, pattern_moves_kept : int
        How many points pattern moves of `minimize` tried (two, if the first was no lower and the second lies
        between), and from how many of them the run went on.
    new_beginnings : list of int
        The iterations at which a run of `minimize` could not get on though its gradient was small, and began again
        from there with new step sizes; see its option `gtol`.
    kink : bool
        Whether the run ended with steps shrunk to nothing beside a gradient that is not small, as at a kink.
    firsts : dict
        Step sizes of shape (n,): "first", that of the first step; "before shrinking" and "before growing", the
        one before the first sign change and before the first growth, or NaN if there was none.
    groups : list of dict
        Rule and options of the latest step, with the ``start`` and ``stop`` of the coordinates that they apply to.
    steps : int
        All iterations recorded, including those that have no row.
    stride : int
        The current stride.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import minimize
    >>> trace = minimize(lambda x: (x @ x, 2 * x), [1.0, -3.0], jac=True, trace=True).trace
    >>> trace.n, trace.x[0]
    (2, array([ 1., -3.]))
    >>> int(trace.counts["shrank"].sum()) == int(trace.where("shrank").sum())
    True
    """

    def __init__(
        self,
        variant: str = rules.DEFAULT,
        *,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float | None, float | None] = (1e-6, 50),
        maximize: bool = False,
        stride: int = 1,
        limit: int = LIMIT,
    ) -> None:
        check_variant(variant)
        if isinstance(stride, bool) or stride < 1 or stride != int(stride):
            raise ValueError(f"stride must be a whole number, at least 1, but is {stride}")
        if limit < 1:
            raise ValueError(f"limit must be a positive number of bytes, but is {limit}")
        super().__init__(int(stride), int(limit))
        self._options = {"variant": variant, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        self._handles: list[RemovableHandle] = []

    # ---------------------------------------------------------------------------------------------------
    # Recording

    def record(
        self,
        x: Array,
        f: float,
        g: Array,
        prev: Array,
        size: Array,
        new_size: Array,
        *,
        worse: bool = False,
        stepped: bool = True,
        pattern_move: bool = False,
    ) -> None:
        """Record one step of one array of parameters.

        Parameters
        ----------
        x, g, prev, size : ndarray
            Parameter, gradient, stored gradient and step size before the step, of one shape and dtype. They are
            copied. `g` is the gradient of the objective, also when maximizing. `prev` is what the rule stored:
            when maximizing, the negated gradient.
        f : float
            The objective at `x`, or NaN.
        new_size : ndarray
            Step size after the step.
        worse : bool, optional
            Whether the loss got worse; read only for rules that compare losses.
        stepped : bool, optional
            False for the point at which a run ends, from which no step is made.
        pattern_move : bool, optional
            Whether a pattern move led to `x`; it is counted.

        Raises
        ------
        ValueError
            If the number of coordinates changes. Nothing is recorded then.
        """
        arrays = [flat_reals(a) for a in (x, g, prev, size, new_size)]
        if not self.groups:
            start = {"dtype": arrays[0].dtype.name, "start": 0, "stop": arrays[0].size}
            self._begin([{**self._options, **start}])
        if any(a.size != self.n for a in arrays):
            raise ValueError(f"the trace has {self.n} coordinates, but the arrays have {[a.size for a in arrays]}")
        x, g, prev, size, new_size = arrays
        event = step_events(self.groups[0], g, prev, size, new_size, worse=worse) if stepped else end_events(g)
        self._append(storable(x), f, storable(g), storable(new_size), event, pattern_move)
        self.pattern_moves += pattern_move
        self.pattern_moves_kept += pattern_move

    def retreated(self) -> None:
        """Count a retreat from a point where the objective is not finite."""
        self._retreats += 1

    def probed(self) -> None:
        """Count a point that `minimize` evaluated to check a minimum."""
        self.probes += 1

    def turned_back(self) -> None:
        """Count a point of a pattern move of `minimize` that was no lower."""
        self.pattern_moves += 1

    def began_again(self) -> None:
        """Note that `minimize` began again at the latest iteration recorded."""
        self.new_beginnings.append(self.steps - 1)

    @classmethod
    def attach(cls, optimizer: Optimizer, *, stride: int = 1, limit: int = LIMIT) -> Trace:
        """Record every step of an `Rprop` from now on.

        Parameters
        ----------
        optimizer : Rprop
            All its groups are recorded. Its results are the same as without a trace.
        stride, limit : int, optional
            As for `Trace`.

        Returns
        -------
        Trace
            Call its `detach` to end the recording, or use it in a ``with`` statement. `f` is the ``loss=`` of a
            step, or else what its closure returned first. A parameter without a gradient makes no step; its step
            size is NaN before its first step.

        Notes
        -----
        Recording is done in hooks. Each step takes longer, because parameters and state are copied, and the events
        determined.
        """
        trace = cls(stride=stride, limit=limit)
        hooks = OptimizerHooks(trace)
        trace._handles = [
            optimizer.register_step_pre_hook(hooks.before),
            optimizer.register_step_post_hook(hooks.after),
        ]
        return trace

    def detach(self) -> None:
        """End the recording that `attach` began. What was recorded remains."""
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *exception: object) -> None:
        self.detach()

    # ---------------------------------------------------------------------------------------------------
    # Words

    def explain(self) -> Explanation:
        """Say in words what happened, and what to try where something is wrong.

        Returns
        -------
        Explanation
            Print it; ``findings`` has the parts.
        """
        return explain(self)

    def __repr__(self) -> str:
        return f"<Trace: {self.steps} iterations of {self.n} coordinates, {len(self)} rows>"

    def __str__(self) -> str:
        lines = [self._title()]
        if len(self):
            lines += [self._values(), display.text_table(*self._cells())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if not len(self):
            return html.escape(self._title())
        return display.html_table(*self._cells(), caption=f"{self._title()}; {self._values()}")

    def _title(self) -> str:
        if not self.groups:
            return "Trace: nothing recorded yet"
        variants = ", ".join(dict.fromkeys(group["variant"] for group in self.groups))
        rows = "all kept" if len(self) == self.steps else f"{len(self)} rows, stride {self.stride}"
        return f"Trace of {variants}: {self.steps} iterations ({rows}), {self.n} coordinates"

    def _values(self) -> str:
        values = self.f[np.isfinite(self.f)]
        if not values.size:
            return "no values of f were given"
        word, best = best_value(self, values)
        return f"f from {values[0]:.6g} to {values[-1]:.6g}, {word} {best:.6g}"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Head and lines of the table of the first coordinates; if there are more, also the sums over all."""
        counted = {name: self.counts[name] for name in ("grew", "shrank", "held", "undone")}
        counted["clamped"] = self.counts["at lower clamp"] + self.counts["at upper clamp"]
        head = ["coordinate", "x first", "x last", "step size first", "last", *counted]
        lines = []
        for i in range(min(self.n, display.SHOWN)):
            values = [self.x[0, i], self.x[-1, i], self.size[0, i], self.size[-1, i]]
            counts = [str(count[i]) for count in counted.values()]
            lines.append([str(i), *(f"{v:.6g}" for v in values), *counts])
        if self.n > display.SHOWN:
            sums = [str(count.sum()) for count in counted.values()]
            lines.append(["all", "", "", "", "", *sums])
        return head, lines

    # ---------------------------------------------------------------------------------------------------
    # Files

    def save(self, path: npz.Path) -> None:
        """Save the trace in one npz file without pickle, which `numpy.load` reads as well.

        Parameters
        ----------
        path : str or path-like
            An existing file is replaced only when the new one is complete.
        """
        tree = {
            "columns": {name: getattr(self, name) for name in Row._fields},
            "history": len(self._older),
            "counts": self._counts,
            "changes": self._changes.decades,
            "contradictions": self._contradictions,
            "firsts": self.firsts,
            "groups": self.groups,
            "options": self._options,
            "steps": self.steps,
            "stride": self.stride,
            "limit": self.limit,
            "retreats": self._retreats,
            "probes": self.probes,
            "pattern moves": (self.pattern_moves, self.pattern_moves_kept),
            "new beginnings": self.new_beginnings,
            "kink": self.kink,
            "held": self.held,
            "gradients": list(self._gradients),
            "last": self._last,
        }
        npz.write(path, _KIND, _VERSION, tree)

    @classmethod
    def load(cls, path: npz.Path) -> Trace:
        """Load what `save` saved; the file need not be trusted.

        Returns
        -------
        Trace
            More can be recorded in it.

        Raises
        ------
        ValueError
            If the file is damaged, is not a trace, or was written by a later version.
        """
        tree = npz.read(path, _KIND, _VERSION)
        try:
            trace = cls(**tree["options"], stride=tree["stride"], limit=tree["limit"])
            trace.groups, trace._counts, trace.steps = tree["groups"], tree["counts"], tree["steps"]
            trace.firsts, trace._changes = tree["firsts"], Changes(tree["changes"])
            trace._retreats, trace._last = tree["retreats"], tree["last"]
            trace._contradictions = tree["contradictions"]
            trace.probes, trace.kink, trace.held = tree["probes"], tree["kink"], tree["held"]
            trace.pattern_moves, trace.pattern_moves_kept = tree["pattern moves"]
            trace.new_beginnings = list(tree["new beginnings"])
            trace._gradients = deque(tree["gradients"])
            rows = [Row(*values) for values in zip(*(tree["columns"][f] for f in Row._fields), strict=True)]
            trace._older, trace._recent = rows[: tree["history"]], deque(rows[tree["history"] :])
            if any(row.event.shape != (trace.n,) or row.event.dtype != np.uint8 for row in rows):
                raise ValueError("its rows do not have the coordinates of its groups")
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            # The digest matched, so the file is not damaged; something other than `save` wrote it.
            raise ValueError(f"cannot load {path!r}: {type(error).__name__}: {error}") from error
        return trace
