"""`Trace`: what happened in a run, coordinate by coordinate."""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._common import npz
from ._core import dtypes
from ._core import events as _events
from ._core.arrays import as_reals
from ._core.checks import check_variant
from ._core.constants import DIRECTION, rule_constants
from .hooks import RemovableHandle

if TYPE_CHECKING:
    from ._minimizer.state import RunState
    from .explain import Explanation
    from .optimizer import Optimizer

Array = np.ndarray[Any, Any]

_KIND, _VERSION = "trace", 1

#: Bytes that the rows of a trace may take before it is thinned.
LIMIT = 64 << 20

#: Bytes of a row beside its entries: four arrays are objects of their own (measured: 640).
OVERHEAD = 700

#: So many of the latest rows are kept whatever the stride.
RECENT = 64


class _Row(NamedTuple):
    iteration: int
    f: float
    x: Array
    sign: Array
    size: Array
    event: Array
    g_max: float
    g_change: float
    x_change: float
    retreats: int


class Trace:
    """What happened in a run: point, value, sign of the gradient, step size and event of every coordinate.

    A trace is filled by ``minimize(..., trace=True)``, by `Trace.attach` from an optimizer, or by `record` from
    any loop. Coordinates are numbered through all parameters, in C order; a complex number is two.

    Parameters
    ----------
    variant, etas, step_sizes, maximize : optional
        The rule and its options, as `Rprop` takes them.
    stride : int, optional
        Keep only every ``stride``-th iteration.
    limit : int, optional
        Bytes that rows may take, 64 MiB by default. When they would take more, every second row is dropped and the
        stride doubled. The latest rows (64, or a quarter of what fits) are kept at any stride, and `counts` are
        exact.

    Attributes
    ----------
    iteration, f : ndarray, shape (rows,)
        Number of the iteration, from 0, and value of the objective; NaN if it was not told.
    x : ndarray, shape (rows, n)
        Where value and gradient were computed, before the step of that iteration.
    sign : ndarray of int8, shape (rows, n)
        Sign of the gradient there; 0 also for NaN.
    size : ndarray, shape (rows, n)
        Step sizes, as the step of that iteration has left them.
    event : ndarray of uint8, shape (rows, n)
        What happened, in bits: see `where` and `words`.
    g_max, g_change, x_change : ndarray, shape (rows,)
        Largest absolute value of the gradient, of its change, and of the change of x, since the iteration before
        (whether that is a row or not); the changes are NaN in the first.
    retreats : ndarray, shape (rows,)
        How often `minimize` stepped back from where the objective is not finite, until this iteration.
    firsts : dict
        Step sizes of shape (n,): "first", that of the first step; "before shrinking" and "before growing", the
        last one before that happened for the first time, or NaN if it has not.
    groups : list of dict
        Rule and options, and the ``start`` and ``stop`` of the coordinates that they are for.
    steps : int
        Iterations recorded in all, also those that have no row.
    stride : int
        The present stride.

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
        variant: str = "irprop-",
        *,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float | None, float | None] = (1e-6, 50),
        maximize: bool = False,
        stride: int = 1,
        limit: int = LIMIT,
    ) -> None:
        check_variant(variant)
        if stride < 1 or stride != int(stride):
            raise ValueError(f"stride must be a whole number, at least 1, but is {stride}")
        if limit < 1:
            raise ValueError(f"limit must be a positive number of bytes, but is {limit}")
        self.stride = int(stride)
        self.limit = int(limit)
        self.steps = 0
        self.groups: list[dict[str, Any]] = []
        self._counts = np.zeros((0, len(_events.NAMES)), np.int64)
        # For each decade of the change of x: how many changes, and the sum of the logarithms of those of the
        # gradient.
        self._changes: dict[int, list[float]] = {}
        self.firsts: dict[str, Array] = {}
        self._options = {"variant": variant, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        self._history: list[_Row] = []
        self._recent: deque[_Row] = deque()
        self._retreats = 0
        self._last: tuple[Array, Array, Array] | None = None  # x, gradient, step size
        self._columns: dict[str, Array] = {}
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
    ) -> None:
        """Record one step of one array of parameters.

        Parameters
        ----------
        x, g, prev, size : ndarray
            Parameter, gradient, stored gradient and step size before the step, of one shape and dtype. Copied.
            `g` is the gradient as it was computed; `prev` is what the rule stored, which is negated when
            maximizing.
        f : float
            The objective at `x`, or NaN.
        new_size : ndarray
            Step size after the step.
        worse : bool, optional
            Whether the loss went the wrong way; read by "irprop+" only.
        stepped : bool, optional
            False for the point at which a run ends.

        Raises
        ------
        ValueError
            If the number of coordinates changes. Nothing is recorded then.
        """
        flat = [_flat(a) for a in (x, g, prev, size, new_size)]
        if not self.groups:
            self._begin([{**self._options, "dtype": flat[0].dtype.name, "start": 0, "stop": flat[0].size}])
        if any(a.size != self.n for a in flat):
            raise ValueError(f"the trace has {self.n} coordinates, but the arrays have {[a.size for a in flat]}")
        _, g, prev, size, new_size = flat
        event = _group_events(self.groups[0], g, prev, size, new_size, worse) if stepped else _no_step(g)
        self._append(_storable(flat[0]), f, _storable(g), _storable(new_size), event)

    def retreated(self) -> None:
        """Count a step back from where the objective is not finite."""
        self._retreats += 1

    def _begin(self, groups: list[dict[str, Any]]) -> None:
        self.groups = groups
        self._counts = np.zeros((self.n, len(_events.NAMES)), np.int64)

    def _append(self, x: Array, f: float, g: Array, size: Array, event: Array) -> None:
        self._columns = {}
        self._counts += _events.FLAGS[event]
        self._note_firsts(size, event)
        g_change = x_change = np.nan
        with np.errstate(all="ignore"):
            if self._last is not None:
                x_change, g_change = (
                    float(np.max(np.abs(a - b), initial=0)) for a, b in zip((x, g), self._last[:2], strict=True)
                )
            g_max = float(np.max(np.abs(g), initial=0))
            sign = (g > 0).astype(np.int8) - (g < 0).astype(np.int8)
        if 0 < x_change < np.inf and 0 < g_change < np.inf:
            decade = self._changes.setdefault(math.floor(math.log10(x_change)), [0, 0.0])
            decade[0] += 1
            decade[1] += math.log10(g_change)
        self._last = x, g, size = x.copy(), g.copy(), size.copy()
        row = _Row(self.steps, float(f), x, sign, size, event, g_max, g_change, x_change, self._retreats)
        self.steps += 1
        self._recent.append(row)
        fits = max(4, self.limit // (x.nbytes + size.nbytes + 2 * x.size + OVERHEAD))
        if len(self._recent) > min(RECENT, fits // 4):
            oldest = self._recent.popleft()
            if oldest.iteration % self.stride == 0:
                self._history.append(oldest)
        while len(self._history) + len(self._recent) > fits:
            self.stride *= 2
            self._history = [row for row in self._history if row.iteration % self.stride == 0]

    def _note_firsts(self, size: Array, event: Array) -> None:
        if not self.firsts:
            self.firsts = {
                name: np.full_like(size, np.nan) for name in ("first", "before shrinking", "before growing")
            }
        firsts = self.firsts
        stepped = ~_events.has(event, "no step")
        np.copyto(firsts["first"], size, where=np.isnan(firsts["first"]) & stepped)
        before = firsts["first"] if self._last is None else self._last[2]
        for name, change in (("before shrinking", "shrank"), ("before growing", "grew")):
            np.copyto(firsts[name], before, where=np.isnan(firsts[name]) & stepped & _events.has(event, change))

    @classmethod
    def attach(cls, optimizer: Optimizer, *, stride: int = 1, limit: int = LIMIT) -> Trace:
        """Record every step of an `Rprop` from now on.

        Parameters
        ----------
        optimizer : Rprop
            With all its groups. Its results are the same, with and without.
        stride, limit : int, optional
            As for `Trace`.

        Returns
        -------
        Trace
            Its `detach` ends the recording, and so does leaving it as a context manager. The value `f` of a step
            is what its closure returned, or its ``loss=``. A parameter that has no gradient in a step makes none;
            its step size is NaN before its first.

        Notes
        -----
        Hooks do it, so that steps cost a copy of parameters and state, and the events, more.
        """
        trace = cls(stride=stride, limit=limit)
        watch = _Watch(trace)
        trace._handles = [
            optimizer.register_step_pre_hook(watch.before),
            optimizer.register_step_post_hook(watch.after),
        ]
        return trace

    def detach(self) -> None:
        """End the recording that `attach` began; what was recorded stays."""
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *exception: object) -> None:
        self.detach()

    # ---------------------------------------------------------------------------------------------------
    # Reading

    @property
    def n(self) -> int:
        """The number of coordinates; 0 before the first step."""
        return int(self.groups[-1]["stop"]) if self.groups else 0

    @property
    def counts(self) -> dict[str, Array]:
        """How often each event happened to each coordinate, over all iterations: int64 arrays of shape (n,)."""
        return {name: self._counts[:, i] for i, name in enumerate(_events.NAMES)}

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._history) + len(self._recent)

    def __getattr__(self, name: str) -> Array:
        if name not in _Row._fields:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name not in self._columns:
            rows = [getattr(row, name) for row in (*self._history, *self._recent)]
            # The shape of an empty table, for a trace without rows.
            empty = np.zeros((0, 0) if name in ("x", "sign", "size", "event") else 0)
            self._columns[name] = np.array(rows) if rows else empty
            self._columns[name].flags.writeable = False
        return self._columns[name]

    def where(self, event: str) -> Array:
        """Where an event happened: a bool array of shape (rows, n).

        Parameters
        ----------
        event : str
            "grew", "shrank" (the gradient changed its sign), "underflow" (the product of the gradients did),
            "held", "undone", "no step", "at lower clamp", "at upper clamp", "zero gradient" or
            "gradient not finite".
        """
        if event not in _events.NAMES:
            raise ValueError(f"there is no event {event!r}; the events are {', '.join(map(repr, _events.NAMES))}")
        return _events.has(self.event, event)

    def words(self) -> Array:
        """The events in words, such as "shrank, held": an array of str of shape (rows, n)."""
        found: Array = _events.WORDS[self.event.astype(np.uint8)]
        return found

    def explain(self) -> Explanation:
        """Say in words what happened, and what to try where something is wrong.

        Returns
        -------
        Explanation
            Print it; ``findings`` has the parts.
        """
        from .explain import explain

        return explain(self)

    def to_dict(self) -> dict[str, Array]:
        """The trace as a table: columns of equal length, a line for each coordinate of each row.

        Returns
        -------
        dict
            ``iteration, f, coordinate, x, gradient_sign, step_size, event``: one-dimensional arrays. It is what
            ``pandas.DataFrame`` takes.
        """
        rows, n = len(self), self.n
        return {
            "iteration": np.repeat(self.iteration, n),
            "f": np.repeat(self.f, n),
            "coordinate": np.tile(np.arange(n), rows),
            "x": self.x.ravel(),
            "gradient_sign": self.sign.ravel(),
            "step_size": self.size.ravel(),
            "event": self.words().ravel(),
        }

    def to_csv(self, path: npz.Path) -> None:
        """Write the table of `to_dict` as a file of comma-separated values, with a line of names.

        Numbers are written so that reading them gives the same bits.
        """
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["iteration", "f", "coordinate", "x", "gradient_sign", "step_size", "event"])
            for row in self._rows():
                words = _events.WORDS[row.event].tolist()
                for i, (x, sign, size) in enumerate(zip(row.x, row.sign, row.size, strict=True)):
                    writer.writerow([row.iteration, row.f, i, x.item(), int(sign), size.item(), words[i]])

    def _rows(self) -> Iterator[_Row]:
        yield from self._history
        yield from self._recent

    # ---------------------------------------------------------------------------------------------------
    # Files

    def save(self, path: npz.Path) -> None:
        """Save the trace in one npz file without pickle, which `numpy.load` reads as well.

        Parameters
        ----------
        path : str or path-like
            A file that exists is replaced, at once and only when the new one is complete.
        """
        columns = {name: getattr(self, name) for name in _Row._fields}
        tree = {
            "columns": columns,
            "history": len(self._history),
            "counts": self._counts,
            "changes": self._changes,
            "firsts": self.firsts,
            "groups": self.groups,
            "options": self._options,
            "steps": self.steps,
            "stride": self.stride,
            "limit": self.limit,
            "retreats": self._retreats,
            "last": self._last,
        }
        npz.write(path, _KIND, _VERSION, tree)

    @classmethod
    def load(cls, path: npz.Path) -> Trace:
        """Load what `save` saved; the file need not be trusted.

        Returns
        -------
        Trace
            It can be recorded on.

        Raises
        ------
        ValueError
            If the file is damaged, no trace, or of a later version.
        """
        tree = npz.read(path, _KIND, _VERSION)
        try:
            trace = cls(**tree["options"], stride=tree["stride"], limit=tree["limit"])
            trace.groups, trace._counts, trace.steps = tree["groups"], tree["counts"], tree["steps"]
            trace.firsts, trace._changes = tree["firsts"], tree["changes"]
            trace._retreats, trace._last = tree["retreats"], tree["last"]
            rows = [_Row(*values) for values in zip(*(tree["columns"][f] for f in _Row._fields), strict=True)]
            trace._history, trace._recent = rows[: tree["history"]], deque(rows[tree["history"] :])
            if any(row.event.shape != (trace.n,) or row.event.dtype != np.uint8 for row in rows):
                raise ValueError("its rows do not have the coordinates of its groups")
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            # The digest was right, so that somebody wrote this file with care, but not `save`.
            raise ValueError(f"cannot load {path!r}: {type(error).__name__}: {error}") from error
        return trace

    # ---------------------------------------------------------------------------------------------------
    # Display

    def __repr__(self) -> str:
        return f"<Trace: {self.steps} iterations of {self.n} coordinates, {len(self)} rows>"

    def __str__(self) -> str:
        from ._common.display import trace_text

        return trace_text(self)

    def _repr_html_(self) -> str:
        from ._common.display import trace_html

        return trace_html(self)


class _Watch:
    """The hooks of a trace: what is to be known before a step is copied, and recorded after it."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._before: list[tuple[Any, dict[str, Any], Array, Array, Array]] = []
        self._loss: Any = None

    def before(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._before = []
        seen: set[Any] = set()
        for group in optimizer.param_groups:
            for param in group["params"]:
                if param in seen:
                    continue
                seen.add(param)
                state = optimizer.state.get(param)
                x = _flat(param.data).copy()
                if state:
                    prev, size = _flat(_plain(state["prev"])).copy(), _flat(_plain(state["step_size"])).copy()
                else:
                    prev = np.zeros_like(x)
                    first = dtypes.first_size(param.shape, param.dtype, _number(group["lr"]))
                    size = _flat(first)
                # The options of this step: hooks and schedules may change them later.
                self._before.append((param, dict(group, new=not state), x, prev, size))
        n = sum(x.size for _, _, x, _, _ in self._before)
        if self._trace.groups and n != self._trace.n:
            raise ValueError(
                f"the trace has {self._trace.n} coordinates, but the optimizer has {n} now; "
                "detach it, and attach anew"
            )
        self._loss = kwargs.get("loss")
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            return None
        heard = self._hear(closure)
        if len(args) > 1:
            return (args[0], heard, *args[2:]), kwargs
        return args, {**kwargs, "closure": heard}

    def _hear(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        def heard() -> Any:
            value = closure()
            if self._loss is None:
                self._loss = value
            return value

        return heard

    def after(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        parts, groups, at = [], [], 0
        for param, group, x, prev, size in self._before:
            grad, state = param.grad, optimizer.state.get(param)
            entry = {
                "variant": group.get("variant", "irprop-"),
                "etas": tuple(map(_number, group["etas"])),
                "step_sizes": tuple(map(_number, group["step_sizes"])),
                "maximize": bool(group["maximize"]),
                "dtype": x.dtype.name,
                "start": at,
                "stop": at + x.size,
            }
            at += x.size
            groups.append(entry)
            if grad is None or not state:
                unknown = np.full_like(x, np.nan) if group["new"] else size
                none = np.full(x.size, _events.NO_STEP, np.uint8)
                parts.append((_storable(x), _storable(np.zeros_like(x)), _storable(unknown), none))
                continue
            g, new_size = _flat(_plain(grad)), _flat(_plain(state["step_size"]))
            worse = _is_worse(group, self._loss)
            event = _group_events(entry, g, prev, size, new_size, worse)
            parts.append((_storable(x), _storable(g), _storable(new_size), event))
        self._before = []
        trace = self._trace
        if not trace.groups:
            trace._begin(groups)
        else:
            trace.groups = groups
        x, g, size, event = (
            np.concatenate(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True)
        )
        loss = self._loss
        trace._append(x, np.nan if loss is None else float(np.asarray(_plain(loss)).item()), g, size, event)


def recorder(
    trace: Trace | bool,
    state: RunState,
    etas: tuple[float, float],
    step_sizes: tuple[float | None, float | None],
) -> tuple[Callable[..., int], Trace]:
    """What records the iterations of a run of `minimize`.

    Parameters
    ----------
    trace : Trace or True
        A trace without rows, or True for a new one.
    state : RunState
        The run.

    Returns
    -------
    callable
        ``watch(advance, *arguments) -> status`` calls `iteration.advance`, and does nothing to the record.
    Trace
    """
    from ._core import record

    if not isinstance(trace, Trace):
        if trace is not True:
            raise TypeError(f"trace must be True, False or a Trace, but is {trace!r}")
        trace = Trace()
    if trace.groups:
        raise ValueError(f"the trace must be new, but it has {trace.steps} iterations already")
    trace._options = {
        "variant": state.variant,
        "etas": etas,
        "step_sizes": step_sizes,
        "maximize": state.maximize,
    }
    sign = -1 if state.maximize else 1
    # With bounds the rule sees a gradient of 0 where going on would leave them.
    seen = record.LAST_G if state.bounds is None else record.INWARD_G

    vectors, scalars = state.vectors, state.scalars

    def watch(take_in: Callable[..., int], *arguments: Any) -> int:
        prev, size = vectors[record.PREV].copy(), vectors[record.SIZE].copy()
        made = scalars[record.NIT]
        status = take_in(*arguments)
        if scalars[record.NIT] == made:
            trace.retreated()
        else:
            trace.record(
                vectors[record.LAST_X],
                sign * scalars[record.LAST_F],
                sign * vectors[seen],
                prev,
                size,
                vectors[record.SIZE],
                worse=bool(scalars[record.WORSE]),
                stepped=bool(scalars[record.MOVED]),
            )
        return status

    return watch, trace


def _group_events(
    group: dict[str, Any], g: Array, prev: Array, size: Array, new_size: Array, worse: bool
) -> Array:
    constants = rule_constants(g.dtype, group["etas"], group["step_sizes"], group["maximize"])
    return _events.events(group["variant"], constants[DIRECTION] * g, prev, size, new_size, constants, worse)


def _no_step(g: Array) -> Array:
    with np.errstate(all="ignore"):
        other = np.where(g == 0, _events.ZERO, 0) | np.where(np.isfinite(g), 0, _events.NOT_FINITE)
    return (other | _events.NO_STEP).astype(np.uint8)


def _is_worse(group: dict[str, Any], loss: Any) -> bool:
    before = group.get("prev_loss")
    if before is None or loss is None:
        return False
    loss = float(np.asarray(_plain(loss)).item())
    return bool(loss < before if group["maximize"] else loss > before)


def _plain(value: Any) -> Any:
    return value.data if hasattr(value, "requires_grad") else value


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _flat(a: Array) -> Array:
    """One dimension of reals, in C order."""
    return as_reals(np.ascontiguousarray(a)).reshape(-1)


def _storable(a: Array) -> Array:
    """The array in a dtype that mixes with NumPy's own, without rounding."""
    return a.astype(np.float32) if a.dtype.name == "bfloat16" else a
