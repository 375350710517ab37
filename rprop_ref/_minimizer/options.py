"""The options of `minimize`: check each, and write the stopping rules among them into the record."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning

from .._common import npz
from .._common.stacklevel import stacklevel
from .._core import record
from .._core.checks import check_etas, check_variant
from .._core.stopping import FUTILE_STEPS
from .finite_differences import SCHEMES
from .state import RunState

Array = np.ndarray[Any, Any]

#: The values of the option `gradient`.
GRADIENTS = ("autograd", *SCHEMES)

#: The default of `gtol` for each finite-difference scheme; None stands for exact gradients.
DEFAULT_GTOL = {None: 1e-10, "cs": 1e-10, "3-point": 1e-7, "2-point": 1e-5}

#: How precise the gradient is for each scheme, as a power of the dtype's precision.
_GRADIENT_PRECISION = {None: 1.0, "cs": 1.0, "3-point": 2 / 3, "2-point": 1 / 2}


def warn_of_unknown(options: dict[str, Any]) -> None:
    """Give SciPy's warning about unknown options, if there are any, at the line of the user's call."""
    if options:
        names = ", ".join(map(str, options))
        warnings.warn(f"Unknown solver options: {names}", OptimizeWarning, stacklevel=stacklevel())


def warn_of_hessians(hess: Any, hessp: Any) -> None:
    """Give SciPy's warning about second derivatives that are not used."""
    for name, value in (("hess", hess), ("hessp", hessp)):
        if value is not None:
            warnings.warn(
                f"Method rprop does not use Hessian information ({name}).",
                RuntimeWarning,
                stacklevel=stacklevel(),
            )


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


def count(name: str, value: Any, minimum: int = 0) -> int:
    """A whole number of at least `minimum`. Raises ValueError for anything else."""
    as_number = _number_or_nan(value)
    if not (as_number >= minimum and as_number == np.floor(as_number) < np.inf):
        raise ValueError(f"{name} must be a whole number, at least {minimum}, but is {value!r}")
    return int(value)


def _count_or_infinity(name: str, value: Any, minimum: int = 0) -> float:
    return np.inf if _number_or_nan(value) == np.inf else count(name, value, minimum)


def number(name: str, value: Any, minimum: float = -np.inf) -> float:
    """A number of at least `minimum`, not NaN. Raises ValueError for anything else."""
    as_number = _number_or_nan(value)
    if not as_number >= minimum:
        allowed = "a number" if minimum == -np.inf else f"a number, at least {minimum:g}"
        raise ValueError(f"{name} must be {allowed}, but is {value!r}")
    return as_number


def _number_or_nan(value: Any) -> float:
    """A single number as float; NaN for anything else."""
    if isinstance(value, (str, bytes)) or np.ndim(value):
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
    gtol: float,
    xtol: float | None,
    ftol: float | None,
    window: int,
    f_target: float | None,
    patience: int | None,
    scheme: str | None = None,
) -> None:
    """Write the stopping rules of a call of `minimize` into the record; None stands for the default.

    `scheme` is that of finite differences, which decides how precise gradients are.

    Raises
    ------
    ValueError
        If a number is outside its allowed range. The record may then be partly written.
    """
    scalars = state.scalars
    nit, nfev, _ = state.counts
    earlier = scalars[record.GTOL :].copy()
    steps = (
        max(10_000, 200 * state.vectors.shape[1]) if maxiter is None else _count_or_infinity("maxiter", maxiter)
    )
    scalars[record.MAXITER] = nit + steps
    scalars[record.MAXFEV] = np.inf if maxfev is None else nfev + _count_or_infinity("maxfev", maxfev, 1)
    scalars[record.GTOL] = number("gtol", gtol, 0)
    scalars[record.XTOL] = scalars[record.DEFAULT_XTOL] if xtol is None else number("xtol", xtol, 0)
    scalars[record.FTOL] = -1.0 if ftol is None else number("ftol", ftol, 0)
    scalars[record.WINDOW] = count("window", window, 2)
    target = -np.inf if f_target is None else number("f_target", f_target)
    scalars[record.F_TARGET] = -target if state.maximize and f_target is not None else target
    scalars[record.PATIENCE] = np.inf if patience is None else count("patience", patience, 1)
    # DEFAULT_XTOL depends on the start; what follows is the same for many starts.
    given = None if xtol is None else float(scalars[record.XTOL])
    scalars[record.WAIT] = min(scalars[record.PATIENCE], np.inf if given == 0 else FUTILE_STEPS)
    _set_check_of_minima(scalars, float(np.finfo(state.vectors.dtype).eps), given or 0.0, scheme)
    if scalars[record.CHECK] and not np.array_equal(earlier, scalars[record.GTOL :]):
        state.drop_check()


def _set_check_of_minima(scalars: Array, eps: float, xtol: float, scheme: str | None) -> None:
    """Write what `rprop_ref._core.probing` needs into the record; eps is the precision of the dtype."""
    # How exactly a run can find where a component of the gradient changes its sign, relative to the variable.
    precision = 4 * eps ** _GRADIENT_PRECISION[scheme]
    # At a smooth minimum, the effect of the gradient on the value is about as small as that, or as xtol; at a kink
    # it is not small at all. For ftol the variables are as exact as the square root of it.
    scalars[record.XTOL_NEGLIGIBLE] = max(precision, xtol) ** 0.5
    scalars[record.FTOL_NEGLIGIBLE] = max(scalars[record.FTOL], scalars[record.F_RESOLUTION]) ** 0.25
    # Probes must be beyond a kink at which the run has come to rest.
    radius = max(precision**0.5, 16 * xtol)
    scalars[record.FIRST_RADIUS] = radius
    scalars[record.SMALL_AGGREGATE] = radius**0.5 / 16
