"""Cases that single out a cause: few other mistakes fail them, or none.

Most mistakes show wherever x moves, and then it is hard to tell which mistake it was. So in most of these cases x
does not move. It starts so far out that its dtype cannot show a step below 1: the numbers there are 2 apart
towards zero, and 4 apart away from it, where only a step longer than 2 is visible. The steps of a correct rule are
too short to be seen. A rule with the mistake in question reaches a longer step, and x moves. The table `ALONE` in
``tests/crosscheck/test_deviations.py`` lists which other causes fail each of these cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..._core.dtypes import is_half
from .builder import CaseBuilder

#: Written in a script for a step without a gradient; the case's `none` says which steps these are.
MISSING = 0.0


def add_isolating_cases(builder: CaseBuilder) -> None:
    """Add the cases that single out a cause."""
    _add_long_steps(builder)
    _add_wrong_growth(builder)
    _add_missed_flips(builder)
    _add_moves_at_a_flip(builder)
    _add_resting_coordinates(builder)
    _add_steady_steps(builder)


def _far_out(builder: CaseBuilder) -> float:
    """A start so far out that steps below 1 are not visible: 4 / epsilon."""
    return 4 * builder.normal / builder.subnormal


def _add(builder: CaseBuilder, name: str, reason: str, g: Sequence[float], x0: float, **setting: Any) -> None:
    """A case of one script, with the name of the case."""
    builder.add(name, reason, [(name, g, x0)], **{"lr": 0.8, **setting})


def _add_long_steps(builder: CaseBuilder) -> None:
    """The mistake makes the first step too long."""
    out = _far_out(builder)
    _add(builder, "first steps unseen", "a step that grows before it has been made", (1,), out, lr=0.9)
    _add(builder, "first steps unseen, clamped", "a first step is clamped, and then made", (1,), out,
         lr=16.0, step_sizes=(1e-6, 0.9))  # fmt: skip
    _add(builder, "steps unseen, a large gradient", "steps do not depend on magnitudes", (100,), out)
    _add(builder, "steps unseen, crossed limits", "the largest step is not exceeded", (1,), out,
         step_sizes=(16.0, 0.9))  # fmt: skip
    _add(builder, "steps unseen, mirrored", "downhill is against the gradient", (-1,), out, lr=1.5)
    _add(builder, "steps unseen, maximize", "uphill is along the gradient", (1,), out, lr=1.5, maximize=True)
    if is_half(builder.dtype):
        between = 1 + builder.subnormal / builder.normal / 2 + 2.0**-40
        _add(builder, "steps unseen, rounded twice", "16-bit constants go by way of float32", (1,), out,
             lr=between, step_sizes=(1e-6, between))  # fmt: skip


def _add_wrong_growth(builder: CaseBuilder) -> None:
    """The mistake lets a step grow where it should not."""
    out, small, inf = _far_out(builder), builder.squares_to_zero, math.inf
    _add(builder, "steps unseen, product underflows", "a product of 0 is no agreement", (small, small), out,
         lr=0.9)  # fmt: skip
    _add(builder, "steps unseen, infinite gradients", "0 times infinity is no agreement", (0, inf, 0, inf), out,
         needs=["inf"])  # fmt: skip
    _add(builder, "steps unseen at the limit", "growth ends at the largest step", (1, 1, 1), out,
         step_sizes=(1e-6, 0.8))  # fmt: skip
    _add(builder, "steps unseen, a limit lifted", "what is clamped is the step size that is stored", (1, 1, 1, 1),
         out, step_sizes=(1e-6, 0.8), needs=["set"], edits={3: {"step_sizes": (1e-6, 50.0)}})  # fmt: skip
    _add(builder, "steps unseen, flips", "flips do not let steps grow", (1, -1, -1, 1, 1), out)
    _add(builder, "steps unseen, memory", "the step after a flip is neutral", (1, -1, -1, 1, 1, 1), out,
         lr=0.6, step_sizes=(0.6, 50.0))  # fmt: skip
    _add(builder, "steps unseen, lr", "lr is read once", (1, 1), out,
         lr=0.1, needs=["set"], edits={1: {"lr": 1.5}})  # fmt: skip


def _add_missed_flips(builder: CaseBuilder) -> None:
    """The mistake overlooks a flip: the step is not halved, and grows from then on."""
    out = _far_out(builder)
    _add(builder, "flip unseen, upwards", "a change of sign from minus to plus", (-1, 1, 1, 1), out)
    if builder.subnormal < 1e-30:
        _add(builder, "flip unseen, small gradients", "a small gradient has a sign", (1e-30, -1, -1, -1), -out)
    _add(builder, "flip unseen, missing gradient", "the memory survives None", (1, MISSING, -1, -1, -1), -out,
         needs=["none"], none=frozenset([1]))  # fmt: skip
    _add(builder, "flip unseen, resumed", "the memory is saved", (1, -1, -1, -1), -out,
         needs=["save"], resumed=frozenset([1]))  # fmt: skip
    builder.add("flip unseen, shared", "a coordinate's flip is its own", (
        ("flips", (1, -1, -1), -out),
        ("agrees", (4, 4, 4), 8 * out),
    ), lr=0.8)  # fmt: skip


def _add_moves_at_a_flip(builder: CaseBuilder) -> None:
    """x rests at a flip though its step would be visible, or takes back a move that was too short to be seen."""
    out = _far_out(builder)
    _add(builder, "flip unseen, move", "x rests at a flip", (1, -1), -out,
         lr=0.9, needs=["set"], edits={1: {"step_sizes": (1.5, 50.0)}})  # fmt: skip
    _add(builder, "flip unseen, taken back", "a move is taken back by adding it, if the loss rose", (1, -1), -out,
         lr=1.5, step_sizes=(1.5, 1.5), loss=(2, 2))  # fmt: skip


def _add_resting_coordinates(builder: CaseBuilder) -> None:
    """x must not move, because of rounding, a gradient without a sign, or bounds."""
    out = _far_out(builder)
    # In float64, this start is not a float32 number.
    _add(builder, "steps unseen, many digits", "x is kept in its dtype", (1,),
         out * (1 + 4 * builder.subnormal / builder.normal))  # fmt: skip
    _add(
        builder,
        "a step of zero",
        "a subnormal number is none",
        (1,),
        3 * builder.subnormal,
        lr=0.0,
        step_sizes=(0.0, 50.0),
    )
    _add(builder, "a zero alone", "zero has no sign", (0,), 0.0)
    _add(builder, "a NaN alone", "a NaN has no sign", (math.nan,), 0.0, needs=["nan"])
    _add(builder, "between walls", "bounds that leave no room", (1, -1), 0.125, bounds=(0.125, 0.125))
    # 0 * inf is NaN, if the move is computed in this step.
    _add(builder, "infinite steps only", "a move is made in its step", (0,), 0.0,
         lr=math.inf, step_sizes=(math.inf, math.inf), needs=["inf"])  # fmt: skip


def _add_steady_steps(builder: CaseBuilder) -> None:
    """x moves, by steps whose size cannot change."""
    steady = {"lr": 0.125, "step_sizes": (0.125, 0.125)}
    _add(builder, "steady steps, zero first", "a memory of zero is no convergence", (0, 1), 0.0, **steady)
    if builder.below_one:
        _add(builder, "steady steps, eta- that rounds to 1", "a neutral step is no flip", (1,), 0.0,
             etas=(builder.below_one, 1.2), **steady)  # fmt: skip
