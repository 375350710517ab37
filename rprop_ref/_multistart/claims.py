"""The check of the claims of runs in machine code, which ends such runs; see `rprop_ref._core.probing`.

NumPy checks all of them at once whether the gradient is negligible. Where it is not, which is rare, it probes, run
by run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import iteration, record
from .._core.probing import begin_check
from .._core.status import Status
from .._core.vectors import largest_effect, zero_blocked
from .._minimizer.compiled_objective import CompiledObjective
from .._minimizer.starting import spans
from .shared_options import InitialValues, SharedOptions

Array = np.ndarray[Any, Any]


def are_confirmed(
    options: SharedOptions, initial: InitialValues, rows: Array, entries: Array, x: Array, g: Array
) -> Array:
    """Which of some claims hold at once, because the gradient is negligible: an array of bool, shape (k,).

    Parameters
    ----------
    options : SharedOptions
    initial : InitialValues
        Those of all runs.
    rows : ndarray of int, shape (k,)
        The runs that claim.
    entries, x, g : ndarray, shapes (k, len(REPORTED)), (k, n) and (k, n)
        Theirs, as for `check`. Only read.
    """
    inward = g
    if options.state.bounds is not None:
        inward = np.empty_like(g)
        zero_blocked(g, x, *options.state.bounds, inward)
    effects = largest_effect(x, inward, spans(initial.x[rows], initial.step_sizes[rows]))
    confirmed: Array = effects <= entries[:, record.REPORTED.index(record.NEGLIGIBLE)]
    return confirmed


def check(
    compiled: CompiledObjective,
    options: SharedOptions,
    initial: InitialValues,
    i: int,
    entries: Array,
    x: Array,
    g: Array,
) -> int:
    """Check the claim of run i, and return the `Status` with which it ends.

    Parameters
    ----------
    compiled : CompiledObjective
    options : SharedOptions
    initial : InitialValues
        Those of all runs.
    i : int
    entries : ndarray of float64, shape (len(REPORTED),)
        The entries `record.REPORTED` of its record. Changed in place.
    x, g : ndarray, shape (n,)
        Its best point and the gradient there, as in the record. Changed in place if a lower point is found.

    Raises
    ------
    Exception
        That of the objective; then x is where it was raised.
    """
    state, reported = options.state, list(record.REPORTED)
    scalars = initial.scalars.copy()
    scalars[record.SIZE_FLOOR] = initial.size_floor[i]
    scalars[reported] = entries
    vectors = np.zeros_like(state.vectors)
    vectors[[record.BEST_X, record.LAST_X]] = x
    vectors[[record.BEST_G, record.LAST_G]] = g
    vectors[record.SPAN] = spans(initial.x[i], initial.step_sizes[i])
    if state.bounds is not None:
        vectors[record.LOWER], vectors[record.UPPER] = state.bounds
    with np.errstate(all="ignore"):
        status = int(begin_check(vectors, scalars))
        while status == Status.CONTINUE:
            x[:] = vectors[record.X]
            f, at = compiled(vectors[record.X])
            scalars[record.NFEV] += 1
            f, at = options.sign * f, options.sign * at
            status = int(iteration.advance(vectors, scalars, state.constants, state.variant, f, at))
    entries[:] = scalars[reported]
    x[:], g[:] = vectors[record.BEST_X], vectors[record.BEST_G]
    return status
