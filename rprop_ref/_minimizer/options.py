"""The options of `minimize`: check each, and write the stopping rules among them into the record."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import OptimizeWarning

from .._common import npz
from .._common.stacklevel import stacklevel
from .._core import record
from .._core.checks import check_etas, check_variant
from .._core.stopping import FUTILE_STEPS
from .bounds import Bounds
from .finite_differences import SCHEMES
from .samples import AUTO
from .state import RunState

Array = np.ndarray[Any, Any]
Default = TypeVar("Default")

#: The values of the option `gradient`.
GRADIENTS = ("autograd", *SCHEMES)

#: The default of `gtol`, and that for finite differences that are less exact.
GTOL = 1e-10
DEFAULT_GTOL = {"3-point": 1e-7, "2-point": 1e-5}

#: With the default of `gtol`, the effect of the gradient on the value must be at most this times the value.
GTOL_NEGLIGIBLE = 1e-6

#: What other libraries call options of `minimize`, where the names are too different to be recognized as similar.
_OTHER_NAMES = {
    "learning_rate": "lr",
    "alpha": "lr",
    "max_nfev": "maxfev",
    "eps": "finite_diff_rel_step",
    "epsilon": "finite_diff_rel_step",
    "verbose": "disp",
    "iprint": "disp",
    "timeout": "maxtime",
    "n_jobs": "workers",
}

#: Options of which SciPy's methods take True as 1. Of others, a user who gives True thinks that it is a switch.
_FLAGS_ARE_NUMBERS = frozenset(("maxiter", "maxfev", "gtol", "xtol", "ftol", "f_target", "tol"))

#: How precise the gradients of finite differences are, as a power of the dtype's precision; those of others: 1.
_GRADIENT_PRECISION = {"3-point": 2 / 3, "2-point": 1 / 2}


def warn(message: str, category: type[Warning] = OptimizeWarning) -> None:
    """Give a warning at the line of the user's call."""
    warnings.warn(message, category, stacklevel=stacklevel())


def warn_of_unknown(unknown: Iterable[str], known: Iterable[str]) -> None:
    """Give SciPy's warning about unknown options, if there are any, and name those that may have been meant."""
    unknown, known = list(map(str, unknown)), list(known)
    if not unknown:
        return
    meant = dict.fromkeys(name for wrong in unknown for name in _similar(wrong.lower(), known))
    question = f"; did you mean {', '.join(meant)}?" if meant else ""
    warn(f"Unknown solver options: {', '.join(unknown)}{question}")


def _similar(name: str, known: list[str]) -> list[str]:
    """The option that may have been meant by a name in lower case, if there is one."""
    for other, ours in _OTHER_NAMES.items():
        if name.replace("_", "") == other.replace("_", ""):
            return [ours]
    return difflib.get_close_matches(name, known, n=1)


def warn_of_hessians(hess: Any, hessp: Any) -> None:
    """Give SciPy's warning about second derivatives that are not used."""
    for name, value in (("hess", hess), ("hessp", hessp)):
        if value is not None:
            warn(f"Method rprop does not use Hessian information ({name}).", RuntimeWarning)


def warn_of_outside(starts: Array, bounds: Bounds) -> None:
    """Give SciPy's warning if a start, or one of m starts of shape (m, n), is not within the bounds."""
    if bounds is not None and ((starts < bounds[0]) | (starts > bounds[1])).any():
        warn("Initial guess is not within the specified bounds; it is moved to the nearest point that is")


def refuse_constraints(constraints: Any) -> None:
    """Raise ValueError if there are any."""
    if constraints is not None and not (hasattr(constraints, "__len__") and len(constraints) == 0):
        raise ValueError(
            "minimize does not support constraints: leave them out. For single variables use bounds; for other "
            "constraints use SciPy's SLSQP, COBYQA or trust-constr"
        )


def check_callback(callback: Any) -> None:
    """Raise TypeError unless it is None or can be called."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, but is {callback!r}")


def check_not_both(warm_start: Any, resume: Any) -> None:
    """Raise ValueError if both `warm_start` and `resume` are given."""
    if warm_start is not None and resume is not None:
        raise ValueError("warm_start and resume each give a run to continue; give only one of them")


def check_checkpoint(checkpoint: Any) -> None:
    """Raise unless it is None or the path of a file that can be written."""
    if checkpoint is not None:
        npz.check_place(path("checkpoint", checkpoint))


def checked_rule(
    etas: tuple[float, float], step_sizes: tuple[float | None, float | None], variant: str
) -> tuple[tuple[float, float], tuple[float, float]]:
    """`etas` and `step_sizes` as numbers, with 0 and infinity for None. Raises ValueError if any is invalid."""
    check_variant(variant)
    minus, plus = _pair("etas", etas)
    check_etas((minus, plus))
    smallest, largest = _pair("step_sizes", step_sizes, defaults=(0.0, np.inf))
    if not 0 <= smallest <= largest:
        raise ValueError(
            f"step_sizes must be (smallest, largest) with 0 <= smallest <= largest, but is {step_sizes}"
        )
    return (minus, plus), (smallest, largest)


def _pair(name: str, value: Any, defaults: tuple[float, float] | None = None) -> tuple[float, float]:
    """Two numbers; None within the pair stands for the default, if there are defaults."""
    try:
        pair = [defaults[i] if v is None and defaults else _number_or_nan(v) for i, v in enumerate(value)]
    except (TypeError, IndexError):
        pair = []
    if len(pair) != 2 or np.isnan(pair).any():
        raise ValueError(f"{name} must be a pair of numbers, but is {value!r}")
    return pair[0], pair[1]


def flag(name: str, value: Any) -> bool:
    """True or False. Raises ValueError for anything else."""
    if not (isinstance(value, (bool, np.bool_, int)) and value in (0, 1)):
        raise ValueError(f"{name} must be True or False, but is {value!r}")
    return bool(value)


def count(name: str, value: Any, minimum: int = 0, otherwise: str = "") -> int:
    """A whole number of at least `minimum`; `otherwise` says what else is allowed. Raises ValueError else."""
    as_number = _number_or_nan(value)
    if not (as_number >= minimum and as_number == np.floor(as_number) < np.inf):
        raise ValueError(f"{name} must be a whole number, at least {minimum}{otherwise}, but is {value!r}")
    return int(as_number)


def pattern_interval(pattern_every: Any) -> float:
    """Iterations between pattern moves: infinity for None. Raises ValueError for what is no interval.

    A pattern move that leads lower clears the rule's memory. After each step, it would leave no sign change to be
    seen, and step sizes would neither shrink nor grow: even in a bowl, only `maxiter` would end the run.
    """
    if pattern_every is None:
        return np.inf
    return count("pattern_every", pattern_every, 2, ", or None for no pattern moves")


def samples(value: Any) -> int | str:
    """The option `samples`: a number of evaluations, or "auto". Raises ValueError for anything else."""
    if isinstance(value, str) and value == AUTO:
        return AUTO
    return count("samples", value, 1, f", or {AUTO!r}")


def number(name: str, value: Any, minimum: float = -np.inf, or_else: str = "") -> float:
    """A number of at least `minimum`, not NaN. Raises ValueError for anything else.

    `or_else` tells what else is allowed.
    """
    as_number = _number_or_nan(value, flags=name in _FLAGS_ARE_NUMBERS)
    if not as_number >= minimum:
        allowed = "a number" if minimum == -np.inf else f"a number, at least {minimum:g}"
        raise ValueError(f"{name} must be {allowed}{or_else}, but is {value!r}")
    return as_number


def number_if_given(name: str, value: Any, default: Default, minimum: float = -np.inf) -> float | Default:
    """`number`, or the default for None."""
    return default if value is None else number(name, value, minimum, ", or None")


def relative_step(value: Any, shape: tuple[int, ...]) -> Array | None:
    """`finite_diff_rel_step` for each of the variables, as a flat array; None for None. Raises ValueError."""
    if value is None:
        return None
    try:
        steps = np.broadcast_to(np.asarray(value, float), shape).ravel()
    except (TypeError, ValueError):
        steps = np.array([np.nan])
    if not (np.isfinite(steps) & (steps != 0)).all():
        raise ValueError(
            f"finite_diff_rel_step must be a number other than 0, or an array of them of shape {shape}, "
            f"but is {value!r}"
        )
    return steps


def _number_or_nan(value: Any, *, flags: bool = False) -> float:
    """A single number, or an array of one (SciPy takes both), as float; NaN for anything else.

    True and False are no numbers, unless `flags`.
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, (str, bytes)) or np.ndim(value) or (isinstance(value, (bool, np.bool_)) and not flags):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def path(name: str, value: Any) -> Any:
    """A path as `os.fspath` gives it. Raises TypeError for anything else."""
    try:
        return os.fspath(value)
    except TypeError:
        raise TypeError(f"{name} must be a path, but is {value!r}") from None


def gradient_source(gradient: str | None, jac: Any) -> Any:
    """Where gradients come from: `gradient` if it is given, else `jac`. Raises ValueError if both are given."""
    if isinstance(jac, np.bool_):
        jac = bool(jac)
    if gradient is None:
        return jac
    if gradient not in GRADIENTS:
        raise ValueError(f"Invalid gradient: {gradient!r}; it must be one of {GRADIENTS}")
    if jac is not None and jac is not False:
        raise ValueError("gradient and jac each say where gradients come from; give only one of them")
    return gradient


def set_stopping_rules(
    state: RunState,
    *,
    maxiter: int | None,
    maxfev: int | None,
    gtol: float | None,
    xtol: float | None,
    ftol: float | None,
    window: int,
    f_target: float | None,
    patience: int | None,
    gradient: str = "jac",
    samples: int | str = 1,
) -> None:
    """Write the stopping rules of a call of `minimize` into the record; None stands for the default.

    `gradient` is where gradients come from, as in the result; it decides how precise they are. With `samples`
    "auto" the number of evaluations is limited by default, since an iteration may take any number.

    Raises
    ------
    ValueError
        If a number is outside its allowed range. The record may then be partly written.
    """
    scalars = state.scalars
    nit, nfev, _ = state.counts
    earlier = scalars[record.GTOL :].copy()
    steps = max(10_000, 200 * state.vectors.shape[1])
    scalars[record.MAXITER] = nit + number_if_given("maxiter", maxiter, steps, 0)
    scalars[record.MAXFEV] = nfev + number_if_given("maxfev", maxfev, steps if samples == AUTO else np.inf, 1)
    scalars[record.GTOL] = number_if_given("gtol", gtol, DEFAULT_GTOL.get(gradient, GTOL), 0)
    scalars[record.GTOL_NEGLIGIBLE] = GTOL_NEGLIGIBLE if gtol is None and gradient not in DEFAULT_GTOL else -1
    scalars[record.XTOL] = number_if_given("xtol", xtol, scalars[record.DEFAULT_XTOL], 0)
    scalars[record.FTOL] = number_if_given("ftol", ftol, -1.0, 0)
    scalars[record.WINDOW] = count("window", window, 2)
    target = number_if_given("f_target", f_target, -np.inf)
    scalars[record.F_TARGET] = -target if state.maximize and f_target is not None else target
    scalars[record.PATIENCE] = number_if_given("patience", patience, np.inf, 1)
    # DEFAULT_XTOL depends on the start; what follows is the same for many starts.
    given = None if xtol is None else float(scalars[record.XTOL])
    scalars[record.WAIT] = min(scalars[record.PATIENCE], np.inf if given == 0 else FUTILE_STEPS)
    _set_check_of_minima(
        scalars,
        float(np.finfo(state.vectors.dtype).eps),
        given or 0.0,
        gradient,
        xtol is not None or ftol is not None,
    )
    if scalars[record.CHECK] and not np.array_equal(earlier, scalars[record.GTOL :]):
        state.drop_check()


def _set_check_of_minima(scalars: Array, eps: float, xtol: float, gradient: str, is_given: bool) -> None:
    """Write what `rprop_ref._core.probing` needs into the record; eps is the precision of the dtype.

    `is_given` tells whether the user gives a tolerance of whose meeting it is a check.
    """
    # How exactly a run can find where a component of the gradient changes its sign, relative to the variable.
    precision = 4 * eps ** _GRADIENT_PRECISION.get(gradient, 1.0)
    # Probes must be beyond a kink at which the run has come to rest.
    radius = max(precision**0.5, 16 * xtol)
    scalars[record.FIRST_RADIUS] = radius
    # At a smooth minimum, the effect of the gradient on the value is smaller than that; at a kink it is not small
    # at all. For ftol the variables are as exact as the square root of it.
    scalars[record.XTOL_NEGLIGIBLE] = max(precision**0.5, 4 * xtol)
    scalars[record.FTOL_NEGLIGIBLE] = max(scalars[record.FTOL], scalars[record.F_RESOLUTION]) ** 0.25
    scalars[record.SMALL_AGGREGATE] = 16 * precision
    scalars[record.SMOOTH_NEGLIGIBLE] = np.inf if is_given else 32 * scalars[record.XTOL_NEGLIGIBLE]
