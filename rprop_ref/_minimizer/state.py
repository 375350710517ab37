"""The state of a run of `minimize`: everything needed to continue it, in memory and in a file.

A run has one `RunState`. Drivers change its arrays in every iteration; a checkpoint is a copy of it in a file;
``result.state`` is the state at the end. A later call of `minimize` continues from such a state, with
`warm_start` from a result and with `resume` from a file, and makes the same iterates as one uninterrupted run.
(`starting.begin` builds the state of a new run.)
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .._common import npz
from .._core import record
from .._core.constants import ETA_MINUS, ETA_PLUS, SHAPE, SIZE_MAX, SIZE_MIN
from .._core.probing import end_check
from .._core.status import Status
from ..rules import RULES
from .bounds import Bounds

Array = np.ndarray[Any, Any]

# The kind and version of a checkpoint file: written into it, and checked when it is read.
_KIND, _VERSION = "run of minimize", 7

# Entries of `RunState.samples`. All but the first begin anew with each choice of that (`samples`).
SAMPLES = 0  # how many evaluations of the objective are averaged at each point
POINTS = 1  # points since that was chosen
NOISE = 2  # the noise of the means at these points ...
SIGNAL = 3  # ... and the gradients without it, relative to both

# The counters among the scalars, with their smallest valid values.
_SMALLEST_COUNTS = {record.NIT: -1, record.NFEV: 0, record.NJEV: 0}


def _one_sample() -> Array:
    return np.array([1.0, 0.0, 0.0, 0.0])


@dataclass(eq=False)
class RunState:
    """Everything that is needed to continue a run of `minimize`. A checkpoint file holds these attributes.

    Attributes
    ----------
    vectors, scalars : ndarray
        The record of the run, see `rprop_ref._core.record`.
    constants : ndarray
        etas and step_sizes, see `rprop_ref._core.constants`.
    variant : str
        The name of the rule.
    maximize : bool
        If True, the values and gradients in the record are the negatives of the objective's.
    shape : tuple of int
        The shape of x as the user sees it. In the record x is flat.
    samples : ndarray of float64, shape (4,)
        How many evaluations are averaged, and what has been seen of the noise since that was chosen.
    counts : sequence of int
        Iterations, calls of the objective and calls of the gradient from which results count: those made before
        `warm_start`, or all 0. With `resume` they are those of the file, so that the whole run is counted.
    """

    vectors: Array
    scalars: Array
    constants: Array
    variant: str
    maximize: bool
    shape: tuple[int, ...]
    samples: Array = field(default_factory=_one_sample)
    counts: Sequence[int] = (0, 0, 0)

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        """Unpickle, also what was pickled before there was the attribute `samples`."""
        self.__dict__.update({"samples": _one_sample(), **attributes})

    def __repr__(self) -> str:
        return f"<state of a run of minimize: {self.nit} iterations, x of shape {self.shape}>"

    @property
    def nit(self) -> int:
        """Iterations made, including those of earlier calls of `minimize`."""
        return max(int(self.scalars[record.NIT]), 0)

    @property
    def sign(self) -> int:
        """-1 if the record holds the negatives of values and gradients, else 1."""
        return -1 if self.maximize else 1

    @property
    def bounds(self) -> Bounds:
        """Lower and upper bounds, each of shape (n,); None if there are none."""
        if len(self.vectors) == record.ROWS:
            return None
        return self.vectors[record.LOWER], self.vectors[record.UPPER]

    def shaped(self, row: int) -> Array:
        """A copy of one row of the vectors, in the shape of x."""
        copy: Array = self.vectors[row].reshape(self.shape).copy()
        return copy

    def drop_check(self) -> None:
        """Forget that an earlier call was checking a minimum when it ended: its tolerances no longer hold."""
        end_check(self.vectors, self.scalars, Status.CONTINUE)

    def copy(self) -> RunState:
        """A state that shares no memory with this one."""
        return RunState(
            self.vectors.copy(),
            self.scalars.copy(),
            self.constants.copy(),
            self.variant,
            self.maximize,
            self.shape,
            self.samples.copy(),
            tuple(self.counts),
        )

    def save(self, path: npz.Path) -> None:
        """Write the state to a file. The file is replaced as a whole, or left as it was."""
        npz.write(path, _KIND, _VERSION, {each.name: getattr(self, each.name) for each in fields(self)})


def load(path: npz.Path) -> RunState:
    """Read a file that `RunState.save` wrote. Nothing in the file is executed.

    Raises
    ------
    ValueError
        If the file is of another kind, is damaged, or does not hold the state of a run.
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
    """Raise unless everything has the type and size that compiled code relies on."""
    vectors, scalars, constants, samples = state.vectors, state.scalars, state.constants, state.samples
    if not all(isinstance(a, np.ndarray) for a in (vectors, scalars, constants, samples)):
        raise ValueError("an array is missing")
    if (
        vectors.dtype not in (np.float16, np.float32, np.float64)
        or constants.dtype != vectors.dtype
        or scalars.dtype != np.float64
    ):
        raise ValueError(f"its arrays have dtypes {vectors.dtype}, {constants.dtype} and {scalars.dtype}")
    if not (isinstance(state.shape, tuple) and all(type(k) is int and k >= 0 for k in state.shape)):
        raise ValueError(f"x has shape {state.shape}")
    n = math.prod(state.shape)
    if (
        vectors.shape not in ((record.ROWS, n), (record.BOUNDED_ROWS, n))
        or scalars.shape != (record.ENTRIES,)
        or constants.shape != SHAPE
    ):
        raise ValueError(f"its arrays have shapes {vectors.shape}, {scalars.shape} and {constants.shape}")
    if state.variant not in RULES or type(state.maximize) is not bool:
        raise ValueError(f"its rule is {state.variant!r}, with maximize={state.maximize!r}")
    if not (len(state.counts) == 3 and all(type(k) is int and k >= 0 for k in state.counts)):
        raise ValueError(f"its counts are {state.counts!r}")
    if not (samples.dtype == np.float64 and samples.shape == (4,) and 1 <= samples[SAMPLES] < np.inf):
        raise ValueError(f"its samples are {samples}")
    for entry, smallest in _SMALLEST_COUNTS.items():
        if not (scalars[entry] >= smallest and scalars[entry] == np.floor(scalars[entry]) < np.inf):
            raise ValueError("its counters are not whole numbers")


def continued(
    state: RunState,
    start: Array,
    shape: tuple[int, ...],
    bounds: Bounds,
    constants: Array,
    variant: str,
    maximize: bool,
    pattern_every: float,
    argument: str,
) -> RunState:
    """A copy of a state, for a call of `minimize` that continues its run.

    Parameters
    ----------
    state : RunState
        The state to continue from.
    start, shape, bounds, constants, variant, maximize, pattern_every
        As for `starting.begin`, from the arguments of the new call. They must describe the same run; of `start`
        only the dtype matters.
    argument : str
        The argument of `minimize` that gave the state, for messages.

    Raises
    ------
    ValueError
        If x0 has another shape or dtype than in the run, or if an option that the iterates depend on differs.
    """
    if shape != state.shape or start.dtype != state.vectors.dtype:
        raise ValueError(
            f"{argument} continues a run with x of shape {state.shape} and dtype {state.vectors.dtype}, but x0 "
            f"has shape {shape} and dtype {start.dtype}; give an x0 like that run's (its values do not matter)"
        )
    interval = float(state.scalars[record.PATTERN_EVERY])
    has_same_rule = np.array_equal(constants, state.constants, equal_nan=True)
    for option, is_the_same, value in (
        ("variant", variant == state.variant, repr(state.variant)),
        ("maximize", maximize == state.maximize, repr(state.maximize)),
        ("etas and step_sizes", has_same_rule, _rule(state.constants)),
        ("pattern_every", pattern_every == interval, None if interval == np.inf else int(interval)),
        ("bounds", _are_equal(bounds, state.bounds), None if state.bounds is None else "others"),
    ):
        if not is_the_same:
            raise ValueError(f"{option} must be the same as in the run that {argument} continues: {value}")
    return state.copy()


def _rule(constants: Array) -> str:
    """The etas and the limits of step sizes, with the digits of their dtype."""
    eta_minus, eta_plus, size_min, size_max = (
        str(constants[i]) for i in (ETA_MINUS, ETA_PLUS, SIZE_MIN, SIZE_MAX)
    )
    return f"({eta_minus}, {eta_plus}) and ({size_min}, {size_max})"


def _are_equal(bounds: Bounds, others: Bounds) -> bool:
    if bounds is None or others is None:
        return bounds is others
    return all(np.array_equal(a, b) for a, b in zip(bounds, others, strict=True))
