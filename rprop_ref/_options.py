"""The options of `minimize`: what they may be, and how the stopping rules among them get into the record."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning

from . import _iteration as it
from ._caller import stacklevel
from ._checks import check_etas, check_variant
from ._state import RunState


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


def check_rule(etas: tuple[float, float], variant: str) -> None:
    """Raise unless there is such a rule."""
    check_etas(etas)
    check_variant(variant)


def count(name: str, value: Any, least: int = 0) -> int:
    """A whole number of at least `least`; anything else is a ValueError."""
    if not (np.ndim(value) == 0 and value >= least and value == np.floor(value) and value < np.inf):
        raise ValueError(f"{name} must be a whole number, at least {least}, but is {value}")
    return int(value)


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
    scalars[it.MAXITER] = nit + (
        max(10_000, 200 * state.vectors.shape[1]) if maxiter is None else count("maxiter", maxiter)
    )
    scalars[it.MAXFEV] = np.inf if maxfev is None else nfev + count("maxfev", maxfev, 1)
    scalars[it.GTOL] = number("gtol", gtol)
    scalars[it.XTOL] = scalars[it.LEAST_XTOL] if xtol is None else number("xtol", xtol)
    scalars[it.FTOL] = -1.0 if ftol is None else number("ftol", ftol)
    scalars[it.WINDOW] = count("window", window, 2)
    target = -np.inf if f_target is None else number("f_target", f_target)
    scalars[it.F_TARGET] = -target if state.maximize and f_target is not None else target
    scalars[it.PATIENCE] = np.inf if patience is None else count("patience", patience, 1)


def number(name: str, value: Any) -> float:
    """A number that is not NaN; anything else is a ValueError."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = np.nan
    if np.isnan(found):
        raise ValueError(f"{name} must be a number, but is {value!r}")
    return found
