"""The state of a run of `minimize`: how it begins, and how it is kept to be continued."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._common import npz
from .._core import record
from .._core.constants import SHAPE

Array = np.ndarray[Any, Any]

_KIND, _VERSION = "run of minimize", 1

#: First step size of a coordinate, relative to its start; and the step size where the start is 0.
FIRST_STEP = 0.01

# Entries of the record that may be anything but must be a whole number, at least this.
_COUNTS = {record.NIT: -1, record.NFEV: 0, record.NJEV: 0}


@dataclass(eq=False)
class RunState:
    """All that a run of `minimize` needs to go on: what ``result.state`` is, and what a checkpoint holds.

    Attributes
    ----------
    vectors, scalars : ndarray
        The record, see `rprop_ref._core.iteration`.
    constants : ndarray
        etas and step_sizes as the kernels take them.
    variant : str
    maximize : bool
        If it is true then the values and gradients in the record are negated.
    shape : tuple of int
        Of x.
    counts : list of int
        Iterations, calls of the objective, and calls of the gradient before the call of `minimize` that this run
        belongs to: 0, unless it was started from the result of another.
    """

    vectors: Array
    scalars: Array
    constants: Array
    variant: str
    maximize: bool
    shape: tuple[int, ...]
    counts: Sequence[int] = (0, 0, 0)

    def __repr__(self) -> str:
        return f"<state of a run of minimize: {self.nit} iterations, x of shape {self.shape}>"

    @property
    def nit(self) -> int:
        """Iterations made, those of earlier calls of `minimize` included."""
        return max(int(self.scalars[record.NIT]), 0)

    @property
    def box(self) -> tuple[Array, Array] | None:
        """The bounds, if there are any."""
        return (
            None if len(self.vectors) == record.ROWS else (self.vectors[record.LOWER], self.vectors[record.UPPER])
        )

    def shaped(self, row: int) -> Array:
        """A copy of one row of the vectors in the shape of x."""
        found: Array = self.vectors[row].reshape(self.shape).copy()
        return found

    def copy(self) -> RunState:
        """A state that shares no memory with this one."""
        return RunState(
            self.vectors.copy(),
            self.scalars.copy(),
            self.constants.copy(),
            self.variant,
            self.maximize,
            self.shape,
            tuple(self.counts),
        )

    def save(self, path: npz.Path) -> None:
        """Write the state to a file, at once and whole, or not at all."""
        npz.write(path, _KIND, _VERSION, {field.name: getattr(self, field.name) for field in fields(self)})


def begin(
    start: Array,
    shape: tuple[int, ...],
    lr: ArrayLike | str | None,
    box: tuple[Array, Array] | None,
    constants: Array,
    variant: str,
    maximize: bool,
) -> RunState:
    """The state of a run before its first evaluation.

    Parameters
    ----------
    start : ndarray, shape (n,)
        Is moved between the bounds.
    lr : float, array_like of the shape of x, "auto" or None
        The first step sizes. None and "auto" are the same.
    box : None or (ndarray, ndarray)
        Lower and upper bounds.

    Raises
    ------
    ValueError
        If `lr` is negative, infinite, NaN, or of another shape.
    """
    dtype = start.dtype
    vectors = np.zeros((record.ROWS if box is None else record.BOUNDED_ROWS, start.size), dtype)
    if box is not None:
        vectors[record.LOWER], vectors[record.UPPER] = box
        start = np.minimum(np.maximum(start, box[0]), box[1])
        vectors[record.MOVE_START] = start
    vectors[[record.X, record.LAST_X, record.BEST_X]] = start
    with np.errstate(all="ignore"):
        vectors[record.SIZE] = first_sizes(start, shape, lr)
        smallest = least(start, vectors[record.SIZE])
    scalars = unstarted(dtype)
    scalars[record.DEFAULT_XTOL], scalars[record.SIZE_FLOOR] = smallest
    return RunState(vectors, scalars, constants, variant, maximize, shape)


def unstarted(dtype: np.dtype[Any]) -> Array:
    """The scalars of a record before the first evaluation, without what depends on start and options."""
    scalars = np.zeros(record.ENTRIES)
    scalars[record.NIT] = -1
    scalars[[record.LAST_F, record.LOWEST_F, record.BEST_F, record.BEST_G_MAX, record.WINDOW_F]] = np.inf
    scalars[record.RETREAT_NIT] = -np.inf
    scalars[record.F_RESOLUTION] = 8 * float(np.finfo(dtype).eps)
    return scalars


def least(starts: Array, sizes: Array) -> tuple[Array, Array]:
    """LEAST_XTOL and FLOOR for one start of shape (n,), or for each of several, shape (m, n)."""
    eps = float(np.finfo(starts.dtype).eps)
    # First steps that are as small as the tolerance would meet it at once, and mean nothing.
    resting = (sizes <= 4 * np.finfo(starts.dtype).eps * np.abs(starts)).all(axis=-1)
    # Near a coordinate of 0 no step is small relative to it, but one is small relative to where it came from.
    floor = eps**2 * np.max(sizes, axis=-1, initial=0).astype(float)
    return np.where(resting, 0.0, 4 * eps), floor


def first_sizes(starts: Array, shape: tuple[int, ...], lr: ArrayLike | str | None) -> Array:
    """The first step sizes of one start, shape (n,), or of several, shape (m, n), with x of the given shape."""
    if lr is None or (isinstance(lr, str) and lr == "auto"):
        sizes = FIRST_STEP * np.abs(starts)
        # Below the normal numbers a step can be too coarse to grow by a factor.
        tiny = sizes < np.finfo(starts.dtype).tiny
        found: Array = np.where(tiny, starts.dtype.type(FIRST_STEP), sizes)
        return found
    if isinstance(lr, str):
        raise ValueError(f"Invalid learning rate: {lr!r}; it must be a number, an array of them, or 'auto'")
    try:
        sizes = np.asarray(lr, float)
    except (TypeError, ValueError):
        raise ValueError(
            f"Invalid learning rate: {lr!r}; it must be a number, an array of them, or 'auto'"
        ) from None
    if not ((sizes >= 0.0) & (sizes < np.inf)).all():
        raise ValueError(f"Invalid learning rate: {lr}")
    if sizes.shape not in ((), shape):
        raise ValueError(
            f"lr must be a number or of the shape of x0, which is {shape}, but has shape {sizes.shape}"
        )
    return np.broadcast_to(np.broadcast_to(sizes, shape).ravel(), starts.shape)


def load(path: npz.Path) -> RunState:
    """Read what `RunState.save` wrote; nothing in the file is run.

    Raises
    ------
    ValueError
        If it is no such file, is damaged, or holds what is no state of a run.
    OSError
        If it cannot be read.
    """
    tree = npz.read(path, _KIND, _VERSION)
    try:
        state = RunState(**tree)
        _check(state)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{os.fspath(path)!r} holds no state of a run of minimize: {error}") from error
    return state


def _check(state: RunState) -> None:
    """Raise unless everything is of the type and size that the kernels rely on."""
    from ..rules import RULES

    v, s, c = state.vectors, state.scalars, state.constants
    if not all(isinstance(a, np.ndarray) for a in (v, s, c)):
        raise ValueError("an array is missing")
    if v.dtype not in (np.float16, np.float32, np.float64) or c.dtype != v.dtype or s.dtype != np.float64:
        raise ValueError(f"its arrays have dtypes {v.dtype}, {c.dtype} and {s.dtype}")
    if not (isinstance(state.shape, tuple) and all(type(k) is int and k >= 0 for k in state.shape)):
        raise ValueError(f"x has shape {state.shape}")
    n = math.prod(state.shape)
    if (
        v.shape not in ((record.ROWS, n), (record.BOUNDED_ROWS, n))
        or s.shape != (record.ENTRIES,)
        or c.shape != SHAPE
    ):
        raise ValueError(f"its arrays have shapes {v.shape}, {s.shape} and {c.shape}")
    if state.variant not in RULES or type(state.maximize) is not bool:
        raise ValueError(f"its rule is {state.variant!r}, with maximize={state.maximize!r}")
    if not (len(state.counts) == 3 and all(type(k) is int and k >= 0 for k in state.counts)):
        raise ValueError(f"its counts are {state.counts!r}")
    if not all(s[entry] >= least and s[entry] == np.floor(s[entry]) < np.inf for entry, least in _COUNTS.items()):
        raise ValueError("its counters are no whole numbers")


def continued(
    state: RunState,
    start: Array,
    shape: tuple[int, ...],
    box: tuple[Array, Array] | None,
    constants: Array,
    variant: str,
    maximize: bool,
    name: str,
) -> RunState:
    """A copy of a state for a call of `minimize` that continues it, if that call asks for the same run.

    Raises
    ------
    ValueError
        If x0 has another shape or dtype, or an option that the iterates depend on is another; `name` is the
        argument that the state was given by.
    """
    if shape != state.shape or start.dtype != state.vectors.dtype:
        raise ValueError(
            f"{name} is a run with x of shape {state.shape} and dtype {state.vectors.dtype}, but x0 has shape "
            f"{shape} and dtype {start.dtype}; give an x0 like that of the run (its values do not matter)"
        )
    then, now = state.box, box
    same_box = (then is None) == (now is None) and (
        then is None or now is None or all(np.array_equal(a, b) for a, b in zip(then, now, strict=True))
    )
    for option, same in (
        ("variant", variant == state.variant),
        ("maximize", maximize == state.maximize),
        ("etas or step_sizes", np.array_equal(constants, state.constants, equal_nan=True)),
        ("bounds", same_box),
    ):
        if not same:
            raise ValueError(f"{name} is a run with other {option}; give the same as then, to continue it")
    return state.copy()
