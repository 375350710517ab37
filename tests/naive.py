"""The Rprop family the slow way: an oracle that follows the text of the papers, one coordinate at a time.

Riedmiller & Braun 1993, "A direct adaptive method for faster backpropagation learning: the RPROP
algorithm" (``rprop+``); Igel & Huesken 2000, "Improving the Rprop learning algorithm", and 2003,
"Empirical evaluation of the improved Rprop learning algorithms" (``rprop-``, ``irprop+``, ``irprop-``).
``irprop-`` is the printed pseudo-code, which leaves out the move at a sign change; ``irprop-go`` moves by
the reduced step size and only forgets the gradient.

This file shares nothing with the library, its list of rules included. Every operation is on NumPy scalars of the
parameter's own dtype, so it is rounded once, in that dtype.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Scalar = Any  # a NumPy scalar of a real dtype; bfloat16 has no type of its own in NumPy
State = tuple[Array, Array, Array]

VARIANTS = ("rprop+", "rprop-", "irprop+", "irprop-", "irprop-go")


def step(
    variant: str,
    x: Array,
    g: Array,
    prev: Array,
    size: Array,
    *,
    etas: tuple[float, float],
    step_sizes: tuple[float | None, float | None],
    maximize: bool = False,
    worse: bool = False,
) -> State:
    """One step of all coordinates. `worse` (for irprop+ only) says that the loss went the wrong way."""
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}")
    for other in (g, prev, size):
        if other.dtype != x.dtype or other.shape != x.shape:
            raise ValueError("x, g, prev and size must have one dtype and one shape")
    kind = _real_dtype(x.dtype)
    new_x, new_prev, new_size = [], [], []
    with np.errstate(all="ignore"):
        eta_minus, eta_plus = (_constant(eta, kind) for eta in etas)
        low, high = (None if limit is None else _constant(limit, kind) for limit in step_sizes)
        for xi, gi, pi, si in zip(_reals(x), _reals(g), _reals(prev), _reals(size), strict=True):
            direction = -gi if maximize else gi
            a, b, c = _coordinate(variant, xi, direction, pi, si, eta_minus, eta_plus, low, high, worse)
            new_x.append(a)
            new_prev.append(b)
            new_size.append(c)
    return _array(new_x, x), _array(new_prev, x), _array(new_size, x)


def start(x: Array, lr: float) -> tuple[Array, Array]:
    """The stored gradient and the step sizes before the first step: zeros, and `lr` (complex: lr + lr*1j)."""
    kind = _real_dtype(x.dtype)
    with np.errstate(all="ignore"):
        first = _constant(lr, kind)
    return _array([kind.type(0) for _ in _reals(x)], x), _array([first for _ in _reals(x)], x)


def run(
    variant: str,
    x0: Array,
    grads: Sequence[Array | None],
    *,
    lr: float = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float | None, float | None] = (1e-6, 50),
    maximize: bool = False,
    losses: Sequence[float] | None = None,
) -> list[State]:
    """(x, prev, size) after each gradient. A gradient of None skips the step.

    Only irprop+ reads `losses`, one for each gradient. The loss of a skipped step is ignored, and without losses
    no step is worse.
    """
    if losses is not None and len(losses) != len(grads):
        raise ValueError("there must be one loss for each gradient")
    prev, size = start(x0, lr)
    state = (x0.copy(), prev, size)
    last_loss = None
    trace = []
    for t, g in enumerate(grads):
        if g is not None:
            worse = False
            if losses is not None:
                if last_loss is not None:
                    worse = bool(losses[t] < last_loss) if maximize else bool(losses[t] > last_loss)
                last_loss = losses[t]
            x, prev, size = state
            state = step(
                variant, x, g, prev, size, etas=etas, step_sizes=step_sizes, maximize=maximize, worse=worse
            )
        trace.append(state)
    return trace


def _coordinate(
    variant: str,
    x: Scalar,
    g: Scalar,
    prev: Scalar,
    size: Scalar,
    eta_minus: Scalar,
    eta_plus: Scalar,
    low: Scalar | None,
    high: Scalar | None,
    worse: bool,
) -> tuple[Scalar, Scalar, Scalar]:
    """The papers' if / else if / else for one weight: (x, prev, size) after the step."""
    zero, one = type(x)(0), type(x)(1)

    # Has the gradient kept its sign (grow), changed it (shrink), or is there nothing to compare (keep)?
    q = g * prev
    if q > zero:
        factor = eta_plus
    elif q < zero:
        factor = eta_minus
    else:
        factor = one
    if factor == zero:
        factor = one
    new_size = _clamp(size * factor, low, high)

    if variant == "irprop-":
        # Igel & Huesken: at a change of sign dE/dw := 0, then move as always. The change is recognised by the
        # factor, so an eta- of exactly 1 makes every neutral step a change of sign.
        if factor == eta_minus:
            g = zero
        return x - _sign(g) * new_size, g, new_size

    if q < zero:
        if variant == "rprop-":
            # No backtracking, and no forgetting either.
            return x - _sign(g) * new_size, g, new_size
        if variant == "irprop-go":
            # Move, but make the next step neutral.
            return x - _sign(g) * new_size, zero, new_size
        if variant == "rprop+" or worse:
            # Riedmiller & Braun: undo the last move, which was -sign(prev) times the step size before this step.
            return x + _sign(prev) * size, zero, new_size
        # irprop+ (Igel & Huesken) if the loss has not risen: stay.
        return x, zero, new_size
    return x - _sign(g) * new_size, g, new_size


def _sign(v: Scalar) -> Scalar:
    """1, -1 or +0; the sign of NaN is 0."""
    if v > type(v)(0):
        return type(v)(1)
    if v < type(v)(0):
        return type(v)(-1)
    return type(v)(0)


def _clamp(v: Scalar, low: Scalar | None, high: Scalar | None) -> Scalar:
    """At least `low`, then at most `high` (which therefore wins). NaN gives NaN; None means no limit."""
    for limit in (low, high):
        if limit is not None and limit != limit:
            return limit
    if v != v:
        return v
    if low is not None and v < low:
        v = low
    if high is not None and v > high:
        v = high
    return v


def _constant(value: float, kind: np.dtype[Any]) -> Scalar:
    """A hyperparameter in the parameter's dtype; for 16-bit dtypes it is rounded to float32 first."""
    if kind.itemsize == 2:
        return kind.type(np.float32(value))
    return kind.type(value)


def _real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of one coordinate: that of the two parts for a complex dtype."""
    if dtype == np.complex64:
        return np.dtype(np.float32)
    if dtype == np.complex128:
        return np.dtype(np.float64)
    return dtype


def _reals(a: Array) -> list[Scalar]:
    """All coordinates in C order; a complex number is two, first the real part."""
    flat = np.array(a, order="C").reshape(-1).view(_real_dtype(a.dtype))
    return [flat[i] for i in range(flat.size)]


def _array(values: list[Scalar], like: Array) -> Array:
    """The inverse of `_reals`: a new array of the shape and dtype of `like`."""
    flat = np.empty(len(values), _real_dtype(like.dtype))
    for i, value in enumerate(values):
        flat[i] = value
    return flat.view(like.dtype).reshape(like.shape)
