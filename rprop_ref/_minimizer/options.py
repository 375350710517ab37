"""The options of `minimize`: what they may be, and how the stopping rules among them get into the record."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning

from .._common.stacklevel import stacklevel
from .._core import record
from .._core.checks import check_etas, check_variant
from .finite_differences import SCHEMES
from .state import RunState

#: What the option `gradient` may be.
GRADIENTS = ("autograd", *SCHEMES)


def warn_of_unknown(options: dict[str, Any]) -> None:
    """SciPy's warning about options that nobody knows, at the line of the user's call."""
    names = ", ".join(map(str, options))
    warnings.warn(f"Unknown solver options: {names}", OptimizeWarning, stacklevel=stacklevel())


def warn_of_hessians(hess: Any, hessp: Any) -> None:
    """SciPy's warning about second derivatives that are not used."""
    for name, value in (("hess", hess), ("hessp", hessp)):
        if value is not None:
            warnings.warn(
                f"Method rprop does not use Hessian information ({name}).",
                RuntimeWarning,
                stacklevel=stacklevel(),
            )


def refuse_constraints(constraints: Any) -> None:
    """Raise unless there are none."""
    if constraints is not None and not (hasattr(constraints, "__len__") and len(constraints) == 0):
        raise ValueError(
            "minimize does not support constraints; it must be None or empty. Bounds on single variables can be "
            "given "
            "as bounds; for others use SciPy's SLSQP, COBYQA or trust-constr"
        )


def check_callback(callback: Any) -> None:
    """Raise unless it is None or can be called."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, but is {callback!r}")


def checked_rule(
    etas: tuple[float, float], step_sizes: tuple[float | None, float | None], variant: str
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Etas and step sizes as numbers, with 0 and infinity for None; a ValueError if there is no such rule."""
    check_variant(variant)
    minus, plus = _pair("etas", etas)
    check_etas((minus, plus))
    smallest, largest = _pair("step_sizes", step_sizes, open_ends=(0.0, np.inf))
    if not 0 <= smallest <= largest:
        raise ValueError(
            f"step_sizes must be (smallest, largest) with 0 <= smallest <= largest, but is {step_sizes}"
        )
    return (minus, plus), (smallest, largest)


def _pair(name: str, value: Any, open_ends: tuple[float, float] | None = None) -> tuple[float, float]:
    """Two numbers; None within them stands for the open end, if there are open ends."""
    try:
        found = [open_ends[i] if v is None and open_ends else _number_or_nan(v) for i, v in enumerate(value)]
    except (TypeError, IndexError):
        found = []
    if len(found) != 2 or np.isnan(found).any():
        raise ValueError(f"{name} must be a pair of numbers, but is {value!r}")
    return found[0], found[1]


def flag(name: str, value: Any) -> bool:
    """True or False; anything else is a ValueError."""
    if not (isinstance(value, (bool, np.bool_, int)) and value in (0, 1)):
        raise ValueError(f"{name} must be True or False, but is {value!r}")
    return bool(value)


def count(name: str, value: Any, least: int = 0) -> int:
    """A whole number of at least `least`; anything else is a ValueError."""
    found = _number_or_nan(value)
    if not (found >= least and found == np.floor(found) < np.inf):
        raise ValueError(f"{name} must be a whole number, at least {least}, but is {value!r}")
    return int(value)


def _limit(name: str, value: Any, least: int = 0) -> float:
    """A whole number of at least `least`, or infinity."""
    return np.inf if _number_or_nan(value) == np.inf else count(name, value, least)


def path(name: str, value: Any) -> Any:
    """A path as `os.fspath` gives it; anything else is a TypeError."""
    try:
        return os.fspath(value)
    except TypeError:
        raise TypeError(f"{name} must be a path, but is {value!r}") from None


def source(gradient: str | None, jac: Any) -> Any:
    """Where gradients come from: `gradient`, or else `jac`; a ValueError if both say something."""
    if gradient is None:
        return jac
    if gradient not in GRADIENTS:
        raise ValueError(f"Invalid gradient: {gradient!r}; it must be one of {GRADIENTS}")
    if jac is not None and jac is not False:
        raise ValueError("gradient and jac each say where gradients come from; give one of them")
    return gradient


def set_limits(
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
) -> None:
    """Write the stopping rules of a call of `minimize` into the record; None is the default.

    Raises
    ------
    ValueError
        If a number is none that it may be. The record may be half written then.
    """
    scalars = state.scalars
    nit, nfev, _ = state.counts
    most = max(10_000, 200 * state.vectors.shape[1]) if maxiter is None else _limit("maxiter", maxiter)
    scalars[record.MAXITER] = nit + most
    scalars[record.MAXFEV] = np.inf if maxfev is None else nfev + _limit("maxfev", maxfev, 1)
    scalars[record.GTOL] = number("gtol", gtol, 0)
    scalars[record.XTOL] = scalars[record.DEFAULT_XTOL] if xtol is None else number("xtol", xtol, 0)
    scalars[record.FTOL] = -1.0 if ftol is None else number("ftol", ftol, 0)
    scalars[record.WINDOW] = count("window", window, 2)
    target = -np.inf if f_target is None else number("f_target", f_target)
    scalars[record.F_TARGET] = -target if state.maximize and f_target is not None else target
    scalars[record.PATIENCE] = np.inf if patience is None else count("patience", patience, 1)


def number(name: str, value: Any, least: float = -np.inf) -> float:
    """A number of at least `least`, not NaN; anything else is a ValueError."""
    found = _number_or_nan(value)
    if not found >= least:
        limit = "" if least == -np.inf else f", at least {least:g},"
        raise ValueError(f"{name} must be a number{limit or ','} but is {value!r}")
    return found


def _number_or_nan(value: Any) -> float:
    """A single number as float; NaN for what is none."""
    if isinstance(value, (str, bytes)) or np.ndim(value):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan
