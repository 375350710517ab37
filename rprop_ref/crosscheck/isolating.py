"""Cases that single out a cause: hardly anything else fails them.

Most mistakes show wherever x moves, and then one does not know which it is. So in most of these cases x does not
move. It starts so far out that its dtype cannot show a step below 1: the numbers there are 2 apart towards zero,
and 4 apart away from it, where a step has to be longer than 2 to be seen. A rule that is right takes steps that
are too short; one that has the mistake in question arrives at a longer step, and x moves. `ALONE` in
``tests/crosscheck/test_crosscheck.py`` lists what else fails each of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .._core.dtypes import is_half
from .maker import Maker

#: Stands for a step without a gradient; `none` says which these are.
MISSING = 0.0


def isolate(make: Maker) -> None:
    """Add the cases that single out a cause.

    Parameters
    ----------
    make : Maker
    """
    out = 4 * make.tiny / make.smallest  # 4 / epsilon
    small, inf = make.small, math.inf

    def case(name: str, reason: str, g: Sequence[float], x0: float, **setting: Any) -> None:
        make.add(name, reason, [(name, g, x0)], **{"lr": 0.8, **setting})

    # The step that is too long comes at once, ...
    case("first steps unseen", "a step that grows before it has been made", (1,), out, lr=0.9)
    case("first steps unseen, clamped", "a first step is clamped, and then made", (1,), out,
         lr=16.0, step_sizes=(1e-6, 0.9))  # fmt: skip
    case("steps unseen, a large gradient", "steps do not depend on magnitudes", (100,), out)
    case("steps unseen, crossed limits", "the largest step is not exceeded", (1,), out, step_sizes=(16.0, 0.9))
    case("steps unseen, mirrored", "downhill is against the gradient", (-1,), out, lr=1.5)
    case("steps unseen, maximize", "uphill is along the gradient", (1,), out, lr=1.5, maximize=True)
    if is_half(make.kind):
        between = 1 + make.smallest / make.tiny / 2 + 2.0**-40
        case("steps unseen, rounded twice", "16-bit constants go by way of float32", (1,), out,
             lr=between, step_sizes=(1e-6, between))  # fmt: skip
    # ... or by growth where there should be none, ...
    case("steps unseen, product underflows", "a product of 0 is no agreement", (small, small), out, lr=0.9)
    case("steps unseen, infinite gradients", "0 times infinity is no agreement", (0, inf, 0, inf), out,
         needs=["inf"])  # fmt: skip
    case("steps unseen at the limit", "growth ends at the largest step", (1, 1, 1), out, step_sizes=(1e-6, 0.8))
    case("steps unseen, a limit lifted", "what is clamped is the step size that is stored", (1, 1, 1, 1), out,
         step_sizes=(1e-6, 0.8), needs=["set"], edits={3: {"step_sizes": (1e-6, 50.0)}})  # fmt: skip
    case("steps unseen, flips", "flips do not let steps grow", (1, -1, -1, 1, 1), out)
    case("steps unseen, memory", "the step after a flip is neutral", (1, -1, -1, 1, 1, 1), out,
         lr=0.6, step_sizes=(0.6, 50.0))  # fmt: skip
    case("steps unseen, lr", "lr is read once", (1, 1), out, lr=0.1, needs=["set"], edits={1: {"lr": 1.5}})
    # ... or because a flip was missed: the step was not halved, and has grown since.
    case("flip unseen, upwards", "a change of sign from minus to plus", (-1, 1, 1, 1), out)
    if make.smallest < 1e-30:
        case("flip unseen, small gradients", "a small gradient has a sign", (1e-30, -1, -1, -1), -out)
    case("flip unseen, missing gradient", "the memory survives None", (1, MISSING, -1, -1, -1), -out,
         needs=["none"], none=frozenset([1]))  # fmt: skip
    case("flip unseen, resumed", "the memory is saved", (1, -1, -1, -1), -out,
         needs=["save"], resumed=frozenset([1]))  # fmt: skip
    make.add("flip unseen, shared", "a coordinate's flip is its own", (
        ("flips", (1, -1, -1), -out),
        ("agrees", (4, 4, 4), 8 * out),
    ), lr=0.8)  # fmt: skip
    # At a flip x rests, with a step that would be seen; or a move that was not seen is seen as it is taken back.
    case("flip unseen, move", "x rests at a flip", (1, -1), -out,
         lr=0.9, needs=["set"], edits={1: {"step_sizes": (1.5, 50.0)}})  # fmt: skip
    case("flip unseen, taken back", "a move is taken back by adding it, if the loss rose", (1, -1), -out,
         lr=1.5, step_sizes=(1.5, 1.5), loss=(2, 2))  # fmt: skip

    # A number of the dtype stays what it is; the first of these, in float64, is none of float32.
    case("steps unseen, many digits", "x is kept in its dtype", (1,), out * (1 + 4 * make.smallest / make.tiny))
    case("a step of zero", "a subnormal number is none", (1,), 3 * make.smallest, lr=0.0, step_sizes=(0.0, 50.0))
    # x does not move because its gradient has no sign, or for a wall on either side.
    case("a zero alone", "zero has no sign", (0,), 0.0)
    case("a NaN alone", "a NaN has no sign", (math.nan,), 0.0, needs=["nan"])
    case("between walls", "bounds that leave no room", (1, -1), 0.125, bounds=(0.125, 0.125))
    # 0 * inf is NaN, if it is computed in this step.
    case("infinite steps only", "a move is made in its step", (0,), 0.0,
         lr=inf, step_sizes=(inf, inf), needs=["inf"])  # fmt: skip
    # x moves, by steps that cannot change.
    steady = {"lr": 0.125, "step_sizes": (0.125, 0.125)}
    case("steady steps, zero first", "a memory of zero is no convergence", (0, 1), 0.0, **steady)
    if make.below_one:
        case("steady steps, eta- that rounds to 1", "a neutral step is no flip", (1,), 0.0,
             etas=(make.below_one, 1.2), **steady)  # fmt: skip
