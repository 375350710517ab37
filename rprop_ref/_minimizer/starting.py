"""How a run of `minimize` begins: its first point, first step sizes and default tolerances.

`begin` builds the state of one run. `first_points` computes what depends on the start, for one start or for many
at once, so that each run of `minimize_many` begins exactly as it would alone.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._core import record
from .._core.checks import check_plain
from .bounds import Bounds, clipped
from .state import RunState

Array = np.ndarray[Any, Any]

#: The default first step size, relative to the start; where the start is 0, the step size itself.
FIRST_STEP = 0.01

#: The same for a variable between two bounds, which stop a step that is too long before it does harm.
FIRST_STEP_BETWEEN_BOUNDS = 0.1


class FirstPoints(NamedTuple):
    """The initial values that depend on the start, for one run, or for m runs along a leading axis.

    Attributes
    ----------
    x : ndarray, shape (n,) or (m, n)
        The start, moved into the bounds.
    step_sizes : ndarray, of the same shape and dtype
        The first step sizes.
    default_xtol, size_floor : ndarray of float64, shape () or (m,)
        Entries DEFAULT_XTOL and SIZE_FLOOR of the record.
    """

    x: Array
    step_sizes: Array
    default_xtol: Array
    size_floor: Array


def as_floats(name: str, values: ArrayLike) -> Array:
    """A copy of the argument `name` as floats: float16 and float32 are kept, all else becomes float64.

    Raises
    ------
    ValueError
        If the values are not real numbers.
    TypeError
        If their arithmetic is not that of an array, see `check_plain`.
    """
    check_plain(values, name)
    x = np.asarray(values)
    if x.dtype.kind not in "fiubO" or (x.dtype.kind == "O" and not all(isinstance(v, Real) for v in x.flat)):
        raise ValueError(f"{name} must hold real numbers, but has dtype {x.dtype}")
    native = x.dtype.newbyteorder("=")
    return x.astype(native if native in (np.float16, np.float32) else np.float64)


def begin(
    start: Array,
    shape: tuple[int, ...],
    lr: ArrayLike | str | None,
    bounds: Bounds,
    constants: Array,
    variant: str,
    maximize: bool,
    pattern_every: float = np.inf,
) -> RunState:
    """The state of a run before its first evaluation, without the stopping rules.

    Parameters
    ----------
    start : ndarray, shape (n,)
        Moved into the bounds if it is outside.
    shape : tuple of int
        The shape of x, as the user sees it.
    lr : float, array_like of this shape, "auto" or None
        The first step sizes. None means "auto".
    bounds : None or (ndarray, ndarray)
    constants : ndarray
        etas and step_sizes, see `rprop_ref._core.constants`.
    pattern_every : float
        The option of `minimize`; infinity for no pattern moves.

    Raises
    ------
    ValueError
        If `lr` is negative, infinite, NaN, or of another shape.
    """
    first = first_points(start, shape, lr, bounds)
    vectors = np.zeros((record.ROWS if bounds is None else record.BOUNDED_ROWS, start.size), start.dtype)
    vectors[[record.X, record.LAST_X, record.BEST_X, record.BASE]] = first.x
    vectors[record.SIZE] = first.step_sizes
    vectors[record.SPAN] = spans(first.x, first.step_sizes)
    if bounds is not None:
        vectors[record.LOWER], vectors[record.UPPER] = bounds
        vectors[record.MOVE_START] = first.x
    scalars = first_scalars(start.dtype)
    scalars[record.DEFAULT_XTOL] = first.default_xtol
    scalars[record.SIZE_FLOOR] = first.size_floor
    scalars[record.PATTERN_EVERY] = pattern_every
    return RunState(vectors, scalars, constants, variant, maximize, shape)


def first_points(starts: Array, shape: tuple[int, ...], lr: ArrayLike | str | None, bounds: Bounds) -> FirstPoints:
    """The first point, step sizes and tolerances of one start, shape (n,), or of each of several, shape (m, n)."""
    x = clipped(starts, bounds)
    with np.errstate(all="ignore"):
        step_sizes = np.array(first_step_sizes(x, shape, lr, bounds), x.dtype, order="C")
        return FirstPoints(x, step_sizes, *default_tolerances(x, step_sizes))


def first_scalars(dtype: np.dtype[Any]) -> Array:
    """The scalars of a record before the first evaluation; those that depend on start or options are 0."""
    scalars = np.zeros(record.ENTRIES)
    scalars[record.NIT] = -1
    values = [record.LAST_F, record.LOWEST_F, record.BEST_F, record.BEST_G_MAX, record.WINDOW_F, record.FIRST_F]
    scalars[values] = np.inf
    scalars[record.RETREAT_NIT] = -np.inf
    scalars[record.STRETCH] = 1
    scalars[record.F_RESOLUTION] = 8 * float(np.finfo(dtype).eps)
    return scalars


def spans(starts: Array, step_sizes: Array) -> Array:
    """The row SPAN of the record of one start, shape (n,), or of several, shape (m, n)."""
    return np.maximum(np.abs(starts), step_sizes)


def default_tolerances(starts: Array, step_sizes: Array) -> tuple[Array, Array]:
    """DEFAULT_XTOL and SIZE_FLOOR for one start, shape (n,), or for each of several, shape (m, n)."""
    eps = float(np.finfo(starts.dtype).eps)
    # A run whose first steps are already within the tolerance would end before it has moved.
    within_tolerance = (step_sizes <= 4 * np.finfo(starts.dtype).eps * np.abs(starts)).all(axis=-1)
    # At a coordinate of 0, no step is small relative to the coordinate. So a step that is tiny relative to the
    # first ones counts as zero as well.
    floor = eps**2 * np.max(step_sizes, axis=-1, initial=0).astype(float)
    return np.where(within_tolerance, 0.0, 4 * eps), floor


def first_step_sizes(
    starts: Array, shape: tuple[int, ...], lr: ArrayLike | str | None, bounds: Bounds = None
) -> Array:
    """The first step sizes of one start, shape (n,), or of several, shape (m, n), for x of the given shape."""
    sizes = checked_lr(lr, shape)
    if sizes is None:
        return _default_step_sizes(starts, bounds)
    return np.broadcast_to(np.broadcast_to(sizes, shape).ravel(), starts.shape)


def _default_step_sizes(starts: Array, bounds: Bounds) -> Array:
    """The default of `lr`."""
    tiny = np.finfo(starts.dtype).tiny
    width = np.full(starts.shape[-1], np.inf, starts.dtype) if bounds is None else bounds[1] - bounds[0]
    # A width that is next to nothing is that of a fixed variable.
    between_bounds = (width >= tiny) & (width < np.inf)
    share = np.where(between_bounds, FIRST_STEP_BETWEEN_BOUNDS, FIRST_STEP).astype(starts.dtype)
    sizes = share * np.abs(starts)
    # A subnormal step size may be too coarse to grow: times eta_plus, it rounds to itself.
    sizes = np.where(sizes < tiny, share, sizes)
    # A longer step leads to the same bound, and takes longer to shrink.
    return np.where(between_bounds, np.minimum(sizes, width), sizes)


def checked_lr(lr: ArrayLike | str | None, shape: tuple[int, ...]) -> Array | None:
    """The option `lr` as one number or an array of the shape of x; None if it is "auto" or None."""
    if lr is None or (isinstance(lr, str) and lr == "auto"):
        return None
    not_numbers = f"Invalid learning rate: {lr!r}; it must be a number, an array of numbers, or 'auto'"
    if isinstance(lr, str):
        raise ValueError(not_numbers)
    check_plain(lr, "lr")
    try:
        sizes = np.asarray(lr, float)
    except (TypeError, ValueError):
        raise ValueError(not_numbers) from None
    if not ((sizes >= 0.0) & (sizes < np.inf)).all():
        raise ValueError(f"Invalid learning rate: {lr}")
    if sizes.shape not in ((), shape):
        raise ValueError(
            f"lr must be a number or have the shape of x0, which is {shape}, but has shape {sizes.shape}"
        )
    return sizes
